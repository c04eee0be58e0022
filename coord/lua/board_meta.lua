-- Keep a text about a member, its meta, or forget it.
--
-- KEYS[1..5]  board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1] member   who
-- ARGV[2] meta     the text; absent to forget it
-- Returns 1, or 0 for a member that is not on the board.
-- TTL: that of the board itself, if it has one.
local keys, member, meta = KEYS, ARGV[1], ARGV[2]
-- include board

local board = opened(keys, 0)
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
