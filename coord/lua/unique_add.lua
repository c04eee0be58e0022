-- Count ids as seen in one or more periods, with HyperLogLog.
--
-- KEYS[1..n]       sketches  one HyperLogLog a period
-- ARGV[1..n]       ends     when each period ends, milliseconds since the epoch
-- ARGV[n+1..2n]    retains  how long each is kept after its end, milliseconds
-- ARGV[2n+1..]     ids      what was seen
-- Returns nothing of use.
-- TTL: the period's end plus its retention; for a period already over, now plus that.
local sketches = KEYS
local SLICE = 4000 -- unpack() has a limit

local time = redis.call('TIME')
local now = math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000)
for i, sketch in ipairs(sketches) do
  for from = 2 * #sketches + 1, #ARGV, SLICE do
    redis.call('PFADD', sketch, unpack(ARGV, from, math.min(from + SLICE - 1, #ARGV)))
  end
  local ends, retain = tonumber(ARGV[i]), tonumber(ARGV[#KEYS + i])
  redis.call('PEXPIREAT', sketch, string.format('%.0f', math.max(ends, now) + retain))
end
return 1
