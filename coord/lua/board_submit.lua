-- Give a member a score under the board's rule, and say where that puts it.
--
-- KEYS[1] board   sorted set
-- ARGV[1] member  who
-- ARGV[2] score   a double, as text with 17 digits
-- ARGV[3] keep    last | best | sum
-- ARGV[4] order   desc | asc: whether more or less is better
-- ARGV[5] ties    competition | ordinal: how equal scores rank
-- Returns {score as text, changed 1 or 0, rank from 1, previous rank or 0};
--         {"", 0, 0, 0} if the sum leaves the range in which doubles hold every integer.
local board = KEYS[1]
local member, score, keep, order, ties = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local EXACT = 9007199254740992

-- board_page.lua counts by the same rule: what scores strictly better comes before.
local function rank_of(points)
  if ties == 'ordinal' then
    return redis.call(order == 'desc' and 'ZREVRANK' or 'ZRANK', board, member) + 1
  end
  local text = string.format('%.17g', points)
  if order == 'desc' then
    return redis.call('ZCOUNT', board, '(' .. text, '+inf') + 1
  end
  return redis.call('ZCOUNT', board, '-inf', '(' .. text) + 1
end

local before = redis.call('ZSCORE', board, member)
local old, previous_rank = nil, 0
if before then
  old = tonumber(before)
  if keep == 'sum' then
    score = old + score
    if math.abs(score) >= EXACT then
      return {'', 0, 0, 0}
    end
  elseif keep == 'best' then
    score = order == 'desc' and math.max(old, score) or order == 'asc' and math.min(old, score)
  end
end
if old then
  previous_rank = rank_of(old)
end
local changed = old ~= score
if changed then
  redis.call('ZADD', board, string.format('%.17g', score), member)
end
return {string.format('%.17g', score), changed and 1 or 0, rank_of(score), previous_rank}
