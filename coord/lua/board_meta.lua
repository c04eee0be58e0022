-- Keep a text about a member, its meta, or forget it.
--
-- KEYS[1..5] board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]    member   who
-- ARGV[3]    meta     the text; absent to forget it
-- Returns 1, or 0 for a member that is not on the board.
-- TTL: that of the board itself, if it has one.
local keys, tiebreak, member, meta = KEYS, ARGV[1], ARGV[2], ARGV[3]
-- include board

local board = opened(keys, 0, tiebreak)
if board.answer then
  return board.answer
end
if not find(board, member) then
  return 0
end
if meta then
  redis.call('HSET', board.meta, member, meta)
  local left = redis.call('PTTL', board.entries)
  if left > 0 then
    redis.call('PEXPIRE', board.meta, left)
  end
else
  redis.call('HDEL', board.meta, member)
end
return 1
