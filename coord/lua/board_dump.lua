-- Read members as a board keeps them, in no order: those named, or a part of all. A member that is there
-- while all parts are read is in one of them at least, however its score moves meanwhile.
--
-- KEYS[1..5] board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]    cursor   where the part before ended, 0 for the first; empty to read those named
-- ARGV[3]    count    about how many members to read
-- ARGV[4..]  members  who, if the cursor is empty
-- Returns {the next cursor, "0" after the last part; for each member: who, score as text, when it was reached
--         or "", meta or nil}. Who is named and not there is left out.
local keys, tiebreak, cursor, count, words = KEYS, ARGV[1], ARGV[2], ARGV[3], ARGV
-- include board

local SLICE = 1000 -- members a command: unpack() takes no more than about 8000

local board = opened(keys, 0, tiebreak)
if board.answer then
  return board.answer
end
local found, members = nil, {}
if cursor == '' then
  found = {'0'}
  members = {unpack(words, 4)}
else
  if board.first then
    found = redis.call('HSCAN', board.reached, cursor, 'COUNT', count)
  else
    found = redis.call('ZSCAN', board.entries, cursor, 'COUNT', count)
  end
  for i = 1, #found[2], 2 do
    if found[2][i] ~= '' then
      members[#members + 1] = found[2][i]
    end
  end
end
local metas = {}
for from = 1, #members, SLICE do
  local upto = math.min(from + SLICE - 1, #members)
  for i, one in ipairs(redis.call('HMGET', board.meta, unpack(members, from, upto))) do
    metas[from + i - 1] = one
  end
end
local reply = {found[1]}
for i, member in ipairs(members) do
  local entry, score = find(board, member)
  if entry then
    local at = #reply
    reply[at + 1], reply[at + 2] = member, score
    reply[at + 3], reply[at + 4] = board.first and string.sub(entry, 1, DIGITS) or '', metas[i]
  end
end
return reply
