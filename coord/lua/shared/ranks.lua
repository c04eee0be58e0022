-- What the scripts of a leaderboard share, after board: ranks, each under any rule for ties.

-- Give twice the rank of an entry, which is a whole number under every rule. `ahead` is how many have better
-- scores, and `matched` how many have this one or a better one, where that is known without counting.
local function twice_rank(board, rule, order, entry, score, ahead, matched)
  local entries = board.entries
  if rule == 'competition' then
    return 2 * ((ahead or better(entries, order, score)) + 1)
  elseif rule == 'modified' then
    return 2 * (matched or better(entries, order, score, true))
  elseif rule == 'fractional' then
    return (ahead or better(entries, order, score)) + (matched or better(entries, order, score, true)) + 1
  elseif rule == 'dense' then
    return 2 * (better(board.scores, order, score) + 1)
  elseif order == 'asc' then
    return 2 * (redis.call('ZRANK', entries, entry) + 1)
  end
  -- Turned round, the set has the entries of one score the other way round too.
  local turned, level = redis.call('ZREVRANK', entries, entry), redis.call('ZCOUNT', entries, score, score)
  if level == 1 then
    return 2 * (turned + 1)
  end
  return 2 * (2 * better(entries, order, score) + level - turned)
end
