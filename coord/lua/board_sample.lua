-- Take evenly spaced rows out of a stretch of a board.
--
-- KEYS[1..5] board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]    order    desc | asc: how to read it
-- ARGV[3]    count    how many rows to take
-- ARGV[4]    after    the score of the place after which the stretch begins; empty for the board's begin
-- ARGV[5]    entry    its entry
-- ARGV[6]    upto     the score of the last place of the stretch; empty for the board's end
-- ARGV[7]    last     its entry
-- Returns {how many rows stand before the stretch, how many in it; for each row taken: how many of the stretch
--         stand before it, score as text, entry}. The last row of the stretch is always taken.
local keys, tiebreak, order, count, after = KEYS, ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local entry, upto, last = ARGV[5], ARGV[6], ARGV[7]
-- include board
-- include ranks
-- include rows
-- include places

local board = opened(keys, 0, tiebreak)
if board.answer then
  return board.answer
end
local before = after == '' and 0 or passed(board, order, after, entry)
local ends = upto == '' and redis.call('ZCARD', board.entries) or passed(board, order, upto, last)
local length = math.max(0, ends - before)
local reply = {before, length}
count = math.min(count, length)
for i = 1, count do
  local offset = math.floor(i * length / count) - 1
  local entries, scores = rows(board, order, before + offset, 1)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3] = offset, scores[1], entries[1]
end
return reply
