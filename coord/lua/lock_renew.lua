-- Start a lease anew, if its token still holds the lock. Never creates a lock.
--
-- KEYS[1] lock   hash {token, fence}
-- ARGV[1] token  the holder
-- ARGV[2] ttl    the new lease from now on, milliseconds
-- Returns 1 when renewed, 0 when the lock is held by another or by nobody.
local lock = KEYS[1]
local token, ttl = ARGV[1], ARGV[2]

if redis.call('HGET', lock, 'token') ~= token then
  return 0
end
return redis.call('PEXPIRE', lock, ttl)
