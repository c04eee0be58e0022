-- Mark many ids of one chunk at once, sent as a bitmap.
--
-- KEYS[1]   scratch  string; does not exist before or after
-- KEYS[2..] places   a directory a period, then a bitmap a period, as for activity_mark.lua
-- ARGV[1]   chunk    which chunk it is
-- ARGV[2]   packed   the bits to set
-- ARGV[3..] lives    when each period ends, then how long each is kept after its end, as there
-- Returns nothing of use.
-- TTL: as there; set again each time, since BITOP takes it away, and never shortened.
-- include prolong
local scratch, places = KEYS[1], KEYS
local chunk, packed, lives = ARGV[1], ARGV[2], ARGV

local kinds = (#places - 1) / 2
local time = redis.call('TIME')
local now = math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000)
redis.call('SET', scratch, packed, 'PX', 60000) -- deleted below; this is for a call that fails
for kind = 1, kinds do
  local ends, retain = tonumber(lives[2 + kind]), tonumber(lives[2 + kinds + kind])
  local life = ends + retain > now and ends + retain or now + retain
  local directory, bitmap = places[1 + kind], places[1 + kinds + kind]
  local kept = now + redis.call('PTTL', bitmap)
  redis.call('BITOP', 'OR', bitmap, bitmap, scratch)
  prolong(bitmap, math.max(life, kept), now)
  redis.call('ZADD', directory, chunk, chunk)
  prolong(directory, life, now)
end
redis.call('DEL', scratch)
return 1
