-- Count how many stand before some places of a board. The places need not be taken.
--
-- KEYS[1..5]  board   entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]     order   desc | asc: how to read it
-- ARGV[2..]   places  for each: score as text; entry, empty where only the score matters
-- Returns {how many members there are; for each place how many score better, how many score the same, how many
--         of these stand before the entry}.
local keys, order, words = KEYS, ARGV[1], ARGV
-- include board

local board = opened(keys, 0)
local reply = {redis.call('ZCARD', board.entries)}
for at = 2, #words, 2 do
  local score, entry = words[at], words[at + 1]
  reply[#reply + 1] = better(board.entries, order, score)
  reply[#reply + 1] = equal(board.entries, score)
  reply[#reply + 1] = entry == '' and 0 or (preceding(board, score, entry))
end
return reply
