-- Count how many stand before some places of a board. The places need not be taken.
--
-- KEYS[1..5] board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]    order    desc | asc: how to read it
-- ARGV[3..]  places   for each: score as text; entry, empty where only the score matters
-- Returns {how many members there are; for each place how many score better, how many score the same, how many
--         of these stand before the entry}.
local keys, tiebreak, order, words = KEYS, ARGV[1], ARGV[2], ARGV
-- include board
-- include places

local board = opened(keys, 0, tiebreak)
if board.answer then
  return board.answer
end
local reply = {redis.call('ZCARD', board.entries)}
for at = 3, #words, 2 do
  local score, entry = words[at], words[at + 1]
  local level, before
  if entry == '' then
    level, before = redis.call('ZCOUNT', board.entries, score, score), 0
  else
    level, before = preceding(board, score, entry)
  end
  local i = #reply
  reply[i + 1], reply[i + 2], reply[i + 3] = better(board.entries, order, score), level, before
end
return reply
