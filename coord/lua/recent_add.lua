-- Note when ids were last seen, for a window that slides.
--
-- KEYS[1]  seen    sorted set {hash: when it was last seen, microseconds since the epoch}
-- ARGV[1]  window  how long an id counts after it was seen, microseconds
-- ARGV[2]  at      when they were seen, microseconds since the epoch; 0 for now
-- ARGV[3..] ids    their hashes
-- Returns nothing of use.
-- TTL: the window, from the last call on. What has left the window is removed in passing, twice as many
-- as are added, so that no call is long and the rest is bounded.
local seen, window, at = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local args = ARGV

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local score = string.format('%.0f', at == 0 and now or at)
local pairs_of = {}
for i = 3, #args do
  pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = score, args[i]
end
redis.call('ZADD', seen, 'GT', unpack(pairs_of))
local gone = redis.call('ZCOUNT', seen, '-inf', string.format('%.0f', now - window))
if gone > 0 then
  redis.call('ZREMRANGEBYRANK', seen, 0, math.min(gone, 2 * (#args - 2)) - 1)
end
redis.call('PEXPIRE', seen, string.format('%.0f', math.max(1, math.ceil(window / 1000))))
return 1
