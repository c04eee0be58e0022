-- Start leases anew, each if its token still holds its lock. Never creates a lock.
--
-- KEYS[1..n]    locks   strings, the holders (see lock_acquire.lua)
-- ARGV[1..2n]   leases  for each lock its token, and the new lease from now on in milliseconds
-- Returns n numbers: 1 when renewed, 0 when the lock is held by another or by nobody.
local locks, leases = KEYS, ARGV

local renewed = {}
for i, lock in ipairs(locks) do
  local token, ttl = leases[2 * i - 1], leases[2 * i]
  local holder = redis.call('GET', lock)
  local mine = holder and string.sub(holder, 1, #token + 1) == token .. ' '
  renewed[i] = mine and redis.call('PEXPIRE', lock, ttl) or 0
end
return renewed
