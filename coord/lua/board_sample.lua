-- Take evenly spaced rows out of a stretch of a board.
--
-- KEYS[1..5]  board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1] order    desc | asc: how to read it
-- ARGV[2] count    how many rows to take
-- ARGV[3] after    the score of the place after which the stretch begins; empty for the board's begin
-- ARGV[4] entry    its entry
-- ARGV[5] upto     the score of the last place of the stretch; empty for the board's end
-- ARGV[6] last     its entry
-- Returns {how many rows stand before the stretch, how many in it; for each row taken: how many of the stretch
--         stand before it, score as text, entry}. The last row of the stretch is always taken.
local keys, order, count, after = KEYS, ARGV[1], tonumber(ARGV[2]), ARGV[3]
local entry, upto, last = ARGV[4], ARGV[5], ARGV[6]
-- include board
-- include ranks
-- include rows
-- include places

local board = opened(keys, 0)
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
