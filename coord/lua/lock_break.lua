-- Take a lock from whoever holds it, remember why, and wake those who wait for it.
--
-- KEYS[1] lock     hash {token, ...}
-- KEYS[2] broken   string, why the lock was last broken
-- ARGV[1] reason   why
-- ARGV[2] memory   how long to remember it, milliseconds
-- ARGV[3] channel  where waiters listen
-- Returns 1 if somebody held it, 0 if nobody did.
local lock, broken = KEYS[1], KEYS[2]
local reason, memory, channel = ARGV[1], ARGV[2], ARGV[3]

if redis.call('HEXISTS', lock, 'token') == 0 then
  return 0
end
redis.call('DEL', lock)
redis.call('SET', broken, reason, 'PX', memory)
redis.call('PUBLISH', channel, 'free')
return 1
