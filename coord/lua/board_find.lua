-- Look members up: score, rank, note.
--
-- KEYS[1..5]  board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    order    desc | asc: how to read it
-- ARGV[2]    ties     how equal scores rank: ordinal | competition | modified | dense | fractional
-- ARGV[3..]  members  who
-- Returns for each member twice the rank, member, score as text, note or nil; 0, member, "", nil for one
--         that is not on the board.
local keys, order, ties, words = KEYS, ARGV[1], ARGV[2], ARGV
-- include board

local board = opened(keys, 0)
local members = {unpack(words, 3)}
local noted = metas(board, members)
local reply = {}
for i, member in ipairs(members) do
  local at = #reply
  local entry, score = find(board, member)
  reply[at + 1] = entry and twice_rank(board, ties, order, entry, score) or 0
  reply[at + 2], reply[at + 3], reply[at + 4] = member, score or '', noted[i]
end
return reply
