-- Count ids as seen in one or more periods: exactly while they are few, then in a HyperLogLog.
-- A period begins as a set of hashes. The id that would make it larger than its limit turns it into a
-- sketch, here and for good; see also unique_roll.lua and unique_restore.lua, which do the same.
--
-- KEYS[1..n]       periods  one set or HyperLogLog a period
-- KEYS[n+1..]      rolled   roll-ups that these periods are part of; what is added here makes them stale
-- ARGV[1]          count    n
-- ARGV[2]          limit    the most hashes that a period holds exactly; 0 for a HyperLogLog from the start
-- ARGV[3..n+2]     ends     when each period ends, milliseconds since the epoch
-- ARGV[n+3..2n+2]  retains  how long each is kept after its end, milliseconds
-- ARGV[2n+3..]     ids      what was seen: hashes as signed 64-bit integers, or with limit 0 anything
-- Returns nothing of use. What PFADD returns says nothing of whether an id is new.
-- TTL: the period's end plus its retention; for a period already over, now plus that.
local periods, count, limit = KEYS, tonumber(ARGV[1]), tonumber(ARGV[2])
local args = ARGV
local SLICE = 4000 -- unpack() has a limit

local exact = {}
for i = 1, count do
  local kind = redis.call('TYPE', periods[i]).ok
  if kind == 'none' then
    exact[i] = limit > 0
  elseif kind == 'set' then -- where HyperLogLogs are simulated by sets, a larger one is such
    exact[i] = redis.call('SCARD', periods[i]) <= limit
  elseif kind ~= 'string' or redis.call('GETRANGE', periods[i], 0, 3) ~= 'HYLL' then
    return redis.error_reply('WRONGTYPE neither hashes nor a HyperLogLog')
  end
end

-- Fill a set up to its limit; return the place of the first id that no longer fits, or nil.
local function fill(period, at)
  while at <= #args do
    local room = limit - redis.call('SCARD', period)
    if room <= 0 then
      break
    end
    local to = math.min(at + room - 1, #args)
    redis.call('SADD', period, unpack(args, at, to))
    at = to + 1
  end
  while at <= #args and redis.call('SISMEMBER', period, args[at]) == 1 do
    at = at + 1
  end
  return at <= #args and at or nil
end

local time = redis.call('TIME')
local now = math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000)
for i = 1, count do
  local period, from = periods[i], 2 * count + 3
  if exact[i] then
    from = fill(period, from)
    if from then
      local members = redis.call('SMEMBERS', period)
      redis.call('DEL', period)
      redis.call('PFADD', period, unpack(members))
    end
  end
  for at = from or #args + 1, #args, SLICE do
    redis.call('PFADD', period, unpack(args, at, math.min(at + SLICE - 1, #args)))
  end
  local ends, retain = tonumber(args[i + 2]), tonumber(args[count + i + 2])
  redis.call('PEXPIREAT', period, string.format('%.0f', math.max(ends, now) + retain))
end
for i = count + 1, #periods do
  redis.call('DEL', periods[i])
end
return 1
