-- Count the ids that were seen within a stretch of time up to now.
--
-- KEYS[1]  seen  sorted set {hash: when it was last seen, microseconds since the epoch}
-- ARGV[1]  last  the length of the stretch, microseconds
-- Returns how many.
local seen = KEYS[1]
local last = tonumber(ARGV[1])

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
return redis.call('ZCOUNT', seen, string.format('(%.0f', now - last), '+inf')
