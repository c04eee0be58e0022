-- Look members up on a board and on its snapshot.
--
-- KEYS[1..5]  board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- KEYS[6..10] snapshot the same, as it was
-- ARGV[1]     tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]     order    desc | asc: how to read them
-- ARGV[3]     ties     how equal scores rank: ordinal | competition | modified | dense | fractional
-- ARGV[4..]   members  who
-- Returns {when the snapshot was taken, in microseconds since the epoch; for each member twice the rank now
--         and twice the rank then, 0 for one who is or was not there}; {} if there is no such snapshot.
local keys, tiebreak, order, ties, words = KEYS, ARGV[1], ARGV[2], ARGV[3], ARGV
-- include board
-- include ranks

local board, snapshot = opened(keys, 0, tiebreak), opened(keys, 5)
if board.answer then
  return board.answer
end
local taken = redis.call('HGET', snapshot.meta, '')
if not taken then
  return {}
end
local reply = {taken}
for at = 4, #words do
  for _, one in ipairs({board, snapshot}) do
    local entry, score = find(one, words[at])
    reply[#reply + 1] = entry and twice_rank(one, ties, order, entry, score) or 0
  end
end
return reply
