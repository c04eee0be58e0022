-- Look members up: score, rank, meta.
--
-- KEYS[1..5] board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]    order    desc | asc: how to read it
-- ARGV[3]    ties     how equal scores rank: ordinal | competition | modified | dense | fractional
-- ARGV[4..]  members  who, one or more
-- Returns the columns of the rows: {twice the rank}, {score as text}, {meta or nil}; 0, nil, nil for a member that
--         is not on the board.
local keys, tiebreak, order, ties, words = KEYS, ARGV[1], ARGV[2], ARGV[3], ARGV
-- include board
-- include ranks

local board = opened(keys, 0, tiebreak)
if board.answer then
  return board.answer
end
local entries, scores
if board.first then
  entries = redis.call('HMGET', board.reached, unpack(words, 4))
  for i, digits in ipairs(entries) do
    entries[i] = digits and digits .. words[i + 3] or ''
  end
  scores = redis.call('ZMSCORE', board.entries, unpack(entries))
else
  scores = redis.call('ZMSCORE', board.entries, unpack(words, 4))
end
local metas = redis.call('HMGET', board.meta, unpack(words, 4))
local ranks, shared = {}, {}
for i = 1, #scores do
  local score = scores[i]
  local twice = not score and 0 or shared[score]
  if not twice then
    twice = twice_rank(board, ties, order, entries and entries[i] or words[i + 3], score)
    shared[score] = ties ~= 'ordinal' and twice or nil
  end
  ranks[i] = twice
end
return {ranks, scores, metas}
