-- Unite a HyperLogLog that was exported with what a period holds.
--
-- KEYS[1]     period   a set of hashes or a HyperLogLog; a HyperLogLog afterwards
-- KEYS[2]     scratch  a key of the same slot; does not exist before or after
-- KEYS[3..n]  rolled   roll-ups that the period is part of
-- ARGV[1]     data     the HyperLogLog
-- ARGV[2]     ends     when the period ends, milliseconds since the epoch
-- ARGV[3]     retain   how long it is kept after its end, milliseconds
-- Returns nothing of use.
-- TTL: the period's end plus its retention; for a period already over, now plus that.
-- include prolong
local period, scratch, rolled = KEYS[1], KEYS[2], {unpack(KEYS, 3)}
local data, ends, retain = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local kind = redis.call('TYPE', period).ok
if kind ~= 'none' and kind ~= 'set' and kind ~= 'string' then
  return redis.error_reply('WRONGTYPE neither hashes nor a HyperLogLog')
end
redis.call('SET', scratch, data, 'PX', 60000) -- deleted below; this is for a call that fails
local done
if kind == 'set' then
  done = redis.pcall('PFADD', scratch, unpack(redis.call('SMEMBERS', period)))
else
  done = redis.pcall('PFMERGE', scratch, period)
end
if type(done) == 'table' and done.err then
  redis.call('DEL', scratch)
  return done
end
local kept = redis.call('PTTL', period)
redis.call('RENAME', scratch, period)
local time = redis.call('TIME')
local now = math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000)
prolong(period, math.max(math.max(ends, now) + retain, now + kept), now)
for _, key in ipairs(rolled) do
  redis.call('DEL', key)
end
return 1
