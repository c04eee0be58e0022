-- Take a lock from whoever holds it, and remember why.
--
-- KEYS[1] lock     string, the holder (see lock_acquire.lua)
-- KEYS[2] broken   string, why the lock was last broken
-- ARGV[1] reason   why
-- ARGV[2] memory   how long to remember it, milliseconds
-- Returns 1 if somebody held it, 0 if nobody did.
local lock, broken = KEYS[1], KEYS[2]
local reason, memory = ARGV[1], ARGV[2]

-- include holders

local holder = redis.call('GET', lock)
if not holder then
  return 0
elseif not ours(holder) then
  return redis.error_reply(NOT_OURS)
end
redis.call('DEL', lock)
redis.call('SET', broken, reason, 'PX', memory)
return 1
