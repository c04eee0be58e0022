-- Look at the permits of a key. Writes nothing.
--
-- KEYS[1] permits  sorted set {token: end of its lease}; see shared/permits.lua
-- KEYS[2] queue    sorted set, who waits to be woken
-- KEYS[3] line     sorted set, who waits at a fair limit
-- ARGV[1] most     how many permits to list
-- Returns {how much is used, how many permits there are, how many wait, and for each of those whose leases
--         end first: weight, label, lease left in milliseconds}.
local permits, queue, line = KEYS[1], KEYS[2], KEYS[3]
local most = tonumber(ARGV[1])

-- include waiters
-- include permits

local now = server_time()
local found = redis.call('ZMSCORE', permits, 'used', 'clock')
local used, step = tonumber(found[1] or 0), -tonumber(found[2] or 0) - now
now = now + (step > STEP and step or 0)
for _, token in ipairs(redis.call('ZRANGEBYSCORE', permits, digits(LEASES), digits(now))) do
  used = used - weight_of(token)
end
local live = string.format('(%.0f', now)
local waiters = redis.call('ZCARD', queue) + redis.call('ZCARD', line)
local reply = {used, redis.call('ZCOUNT', permits, live, '+inf'), waiters}
local leases = redis.call('ZRANGEBYSCORE', permits, live, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
for i = 1, #leases, 2 do
  local at = #reply
  local _, _, weight, label = string.find(leases[i], '^%S+ (%d+) (.*)$')
  reply[at + 1], reply[at + 2] = tonumber(weight), label
  reply[at + 3] = math.ceil((tonumber(leases[i + 1]) - now) / 1000)
end
return reply
