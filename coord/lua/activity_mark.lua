-- Mark numbers as active in one or more periods, one bit each.
--
-- KEYS[1..n]       bitmaps  one bitmap a period
-- ARGV[1..n]       ends     when each period ends, milliseconds since the epoch
-- ARGV[n+1..2n]    retains  how long each is kept after its end, milliseconds
-- ARGV[2n+1..]     numbers  the bits to set
-- Returns nothing of use.
-- TTL: the period's end plus its retention; for a period already over, now plus that.
local bitmaps = KEYS

local time = redis.call('TIME')
local now = math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000)
for i, bitmap in ipairs(bitmaps) do
  for at = 2 * #bitmaps + 1, #ARGV do
    redis.call('SETBIT', bitmap, ARGV[at], 1)
  end
  local ends, retain = tonumber(ARGV[i]), tonumber(ARGV[#KEYS + i])
  redis.call('PEXPIREAT', bitmap, string.format('%.0f', math.max(ends, now) + retain))
end
return 1
