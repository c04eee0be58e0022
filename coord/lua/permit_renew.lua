-- Start the leases of permits anew, each if its token still holds its permit. Never creates a permit.
--
-- KEYS[1..n]    permits  sorted sets {token: end of its lease}; see shared/permits.lua
-- ARGV[1..2n]   leases   for each its token, and the new lease from now on in milliseconds
-- Returns n numbers: 1 when renewed, 0 when the permit has ended.
local sets, leases = KEYS, ARGV

-- include waiters
-- include permits

local now = server_time()
local renewed = {}
for i, permits in ipairs(sets) do
  local token, ttl = leases[2 * i - 1], tonumber(leases[2 * i])
  local used = in_use(permits, now)
  renewed[i] = redis.call('ZSCORE', permits, token) and 1 or 0
  if renewed[i] == 1 then
    lend(permits, token, ttl, used, now)
  end
end
return renewed
