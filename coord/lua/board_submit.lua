-- Give members scores on one or more boards, under each board's rule, and say where that puts them.
-- Rows are taken one after the other: each is ranked as if it had been submitted alone. If one of them is
-- refused, none is taken.
--
-- KEYS[1..5n]      boards     five keys each: entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]          tiebreak   name | first: how equal scores stand; a board keeps that of its first member
-- ARGV[2]          order      desc | asc: whether more or less is better
-- ARGV[3]          ties       how equal scores rank: ordinal | competition | modified | dense | fractional
-- ARGV[4]          limit      how many of those overtaken to name, for each row
-- ARGV[5]          ttl        how long a score lives, milliseconds; empty to leave that as it is
-- ARGV[6..5+3n]    policies   for each board: keep (last | best | worst | sum | first); when its period ends,
--                             milliseconds since the epoch, empty for a permanent board; how long it is kept
--                             after that, milliseconds
-- ARGV[6+3n..]     rows       for each: member, score as text, whether there is meta (1 or 0), the meta
-- Returns for each board, for each row {score, changed 1 or 0, twice the rank, twice the rank before or 0,
--         nil or of those overtaken {{twice the rank}, {member}, {score}, {meta}}, score before or nil}; instead of
--         all that {"sum", member} if a sum would lose points, {"tiebreak", the board's} if that is not the one
--         given.
-- TTL of a period: its end plus its retention; for a period already over, now plus that. Never shortened.
local keys, tiebreak, order, ties = KEYS, ARGV[1], ARGV[2], ARGV[3]
local limit, ttl, words = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV
-- include board
-- include prolong
-- include ranks

local WHOLE = 9007199254740992 -- from here on a double holds only some of the whole numbers
local put, _, text, micros = writers()
local count = #keys / 5
local first_row = 6 + 3 * count

local function millis()
  return math.floor(micros() / 1000)
end

-- Add, or give nothing if points would be lost: the error of a sum is itself a double (Knuth's TwoSum).
local function sum(a, b)
  local total = a + b
  local part = total - a
  local lost = (a - (total - part)) + (b - part)
  if math.abs(total) == math.huge or (math.abs(total) >= WHOLE and lost ~= 0) then
    return nil
  end
  return total
end

-- Choose the score that stays, and say whether the new one had a part in it.
local function chosen(keep, old, new)
  if not old or keep == 'last' then
    return new, true
  elseif keep == 'first' then
    return old, false
  elseif keep == 'sum' then
    return sum(old, new), true
  end
  local wins = new ~= old and ((new > old) == ((keep == 'best') == (order == 'desc')))
  return wins and new or old, wins
end

local boards = {}
for b = 1, count do
  local board = opened(keys, 5 * (b - 1), tiebreak, count)
  if board.answer then
    return board.answer
  end
  if board.first and tiebreak ~= 'first' and redis.call('EXISTS', board.entries) == 1 then
    return {'tiebreak', 'first'}
  end
  board.first = tiebreak == 'first'
  board.keep, board.ends, board.retain = words[3 + 3 * b], tonumber(words[4 + 3 * b]), words[5 + 3 * b]
  boards[b] = board
end
for _, board in ipairs(boards) do
  if board.keep == 'sum' then
    for at = first_row, #words, 4 do
      local _, old = find(board, words[at])
      if old and not sum(tonumber(old), tonumber(words[at + 1])) then
        return {'sum', words[at]}
      end
    end
  end
end

-- Name those who stood before the member and now stand after it; under a shared rank, those who had a
-- better score and now have a worse one. A newcomer overtakes all that it leaves behind.
local function overtaken(board, entry, score, old, previous)
  -- include rows

  local from, last
  if ties == 'ordinal' then
    from = twice_rank(board, ties, order, entry, score) / 2
    last = old and previous / 2
  else
    from = better(board.entries, order, score, true)
    last = old and better(board.entries, order, old)
  end
  last = math.min(last or redis.call('ZCARD', board.entries), from + limit)
  local ranks, members, scores, metas = ranked(board, ties, order, from, last - from)
  return {ranks, members, scores, metas}
end

local function submit(board, member, points, meta)
  local entry, old = find(board, member)
  local previous = old and twice_rank(board, ties, order, entry, old) or 0
  local score, wins = chosen(board.keep, old and tonumber(old), points)
  local changed = not old or score ~= tonumber(old)
  if changed then
    local digits
    if board.first then
      local last = tonumber(redis.call('HGET', board.reached, '') or '0')
      digits = string.format('%016.0f', math.max(micros(), last + 1))
      redis.call('HSET', board.reached, '', digits)
    end
    entry = put(board, member, score, digits, entry, old)
  end
  score = text(score)
  if meta and wins then
    redis.call('HSET', board.meta, member, meta)
  end
  if ttl then
    redis.call('ZADD', board.expiry, text(millis() + ttl), member)
  end
  local rank = changed and twice_rank(board, ties, order, entry, score) or previous
  local passed = limit > 0 and changed and overtaken(board, entry, score, old, previous) or false
  return {score, changed and 1 or 0, rank, previous, passed, old or false}
end

local reply = {}
for b, board in ipairs(boards) do
  local done = {}
  for at = first_row, #words, 4 do
    local points, meta = tonumber(words[at + 1]), words[at + 2] == '1' and words[at + 3]
    done[#done + 1] = submit(board, words[at], points, meta)
  end
  if board.ends then
    local dies = math.max(board.ends, millis()) + board.retain
    for _, key in ipairs({board.entries, board.scores, board.reached, board.meta, board.expiry}) do
      prolong(key, dies, millis())
    end
  end
  reply[b] = done
end
return reply
