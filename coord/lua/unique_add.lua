-- Count ids as seen in one or more periods: exactly while they are few, then in a HyperLogLog.
-- A period begins as a set of hashes. The id that makes it larger than its limit turns it into a
-- sketch, here and for good; see also unique_roll.lua and unique_restore.lua, which do the same.
--
-- KEYS[1..n]       periods  one set or HyperLogLog a period
-- KEYS[n+1..]      rolled   roll-ups that these periods are part of; what is added here makes them stale
-- ARGV[1]          count    n
-- ARGV[2]          limit    the most hashes that a period holds exactly; 0 for a HyperLogLog from the start
-- ARGV[3]          lives    when each period ends, milliseconds since the epoch, then how long each is kept
--                           after its end, milliseconds; with spaces between, since few calls need to know
-- ARGV[4..]        ids      what was seen: hashes as signed 64-bit integers, or with limit 0 anything
-- Returns nothing of use. What PFADD returns says nothing of whether an id is new.
-- TTL: the period's end plus its retention; for a period already over, now plus that. It is set by each call
-- that changes the period, and never shortened. Most do not, and then no roll-up is stale either.
-- include prolong
local periods, count, limit, lives = KEYS, tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local args, first = ARGV, 4
local SLICE = 4000 -- ids a command: unpack() takes no more than about 8000

local exact = {}
for i = 1, count do
  local kind = redis.call('TYPE', periods[i]).ok
  if kind == 'none' or kind == 'set' then
    exact[i] = limit > 0
  elseif kind ~= 'string' or i > 1 and redis.call('GETRANGE', periods[i], 0, 3) ~= 'HYLL' then
    return redis.error_reply('WRONGTYPE neither hashes nor a HyperLogLog') -- of the first, PFADD will say so
  end
end

-- Fill a set until it is larger than its limit, and then make it a sketch. Say whether anything was new, and
-- the place of the first id that is still to be added to the sketch.
local function fill(period)
  local changed, at = false, first
  while at <= #args do
    local to = math.min(at + limit - 1, #args)
    local new = redis.call('SADD', period, unpack(args, at, to))
    at = to + 1
    changed = changed or new > 0
    local size = new > 0 and redis.call('SCARD', period) or 0
    if size > limit and size - new <= limit then -- else, where sets simulate HyperLogLogs, it is one
      local members = redis.call('SMEMBERS', period)
      redis.call('DEL', period)
      redis.call('PFADD', period, unpack(members))
      break
    end
  end
  return changed, at
end

local now, spans = nil, {}
local function expire(i)
  if not now then
    local time = redis.call('TIME')
    now = math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000)
    for span in string.gmatch(lives, '%d+') do
      spans[#spans + 1] = tonumber(span)
    end
  end
  prolong(periods[i], math.max(spans[i], now) + spans[count + i], now)
end

for i = 1, count do
  local changed, at = false, first
  if exact[i] then
    changed, at = fill(periods[i])
  end
  for from = at, #args, SLICE do
    local grown = redis.call('PFADD', periods[i], unpack(args, from, math.min(from + SLICE - 1, #args)))
    changed = changed or grown == 1
  end
  if changed or limit == 0 and redis.call('PTTL', periods[i]) == -1 then -- a plain PFADD may have made it
    expire(i)
  end
end
if now and #periods > count then
  redis.call('DEL', unpack(periods, count + 1))
end
return 1
