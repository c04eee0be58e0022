-- Find the score below which a share of the members lies, by nearest rank.
--
-- KEYS[1..5] board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]    order    desc | asc: the worst is below
-- ARGV[3]    percent  from 0 to 100
-- Returns the score as text; nil for an empty board.
local keys, tiebreak, order, percent = KEYS, ARGV[1], ARGV[2], tonumber(ARGV[3])
-- include board

local board = opened(keys, 0, tiebreak)
if board.answer then
  return board.answer
end
local total = redis.call('ZCARD', board.entries)
if total == 0 then
  return nil
end
local from_worst = math.max(1, math.ceil(percent / 100 * total))
local command = order == 'desc' and 'ZRANGE' or 'ZREVRANGE'
local found = redis.call(command, board.entries, from_worst - 1, from_worst - 1, 'WITHSCORES')
return found[2]
