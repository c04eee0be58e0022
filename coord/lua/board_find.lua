-- Look members up: score, rank, note.
--
-- KEYS[1..5]  board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    order    desc | asc: how to read it
-- ARGV[2]    ties     how equal scores rank: ordinal | competition | modified | dense | fractional
-- ARGV[3..]  members  who, one or more
-- Returns for each member twice the rank, member, score as text, note or nil; 0, member, "", nil for one
--         that is not on the board.
local keys, order, ties, words = KEYS, ARGV[1], ARGV[2], ARGV
-- include board

local board = opened(keys, 0)
local members = {unpack(words, 3)}
local entries = members
if board.first then
  entries = redis.call('HMGET', board.reached, unpack(members))
  for i, digits in ipairs(entries) do
    entries[i] = digits and digits .. members[i] or ''
  end
end
local scores = redis.call('ZMSCORE', board.entries, unpack(entries))
local noted = metas(board, members)
local reply = {}
for i, member in ipairs(members) do
  local at, score = 4 * (i - 1), scores[i]
  reply[at + 1] = score and twice_rank(board, ties, order, entries[i], score) or 0
  reply[at + 2], reply[at + 3], reply[at + 4] = member, score or '', noted[i]
end
return reply
