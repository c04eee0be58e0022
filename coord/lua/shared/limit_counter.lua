-- A sliding window by two counters.
local begin, previous, current, shift = now, 0, 0, 0
local found = redis.pcall('GET', key)
if type(found) == 'table' then
  -- It is a log. What that holds counts in full for a window, and then shrinks.
  local live, newest, _
  shift, _, live, current, newest = read_log(redis.call('LRANGE', key, 0, 3))
  begin = live and newest or now
elseif found then
  shift, begin, previous, current = read_counters(found)
end
if not shift then
  return {err = NOT_OURS}
end
local back = shift > 0

local function used()
  return estimate(begin, previous, current), begin > now
end

local function when(cost)
  local room = limit - current - cost
  if room >= 0 then
    if estimate(begin, previous, current) + cost <= limit then
      return math.max(now, begin)
    end
    return begin + (units - math.floor(room * units / previous)) * unit
  end
  local shrunk = units - math.floor((limit - cost) * units / current)
  return begin + window + math.max(0, shrunk) * unit
end

local function charge(cost, at)
  begin, previous, current = rolled(begin, previous, current, at)
  current = current + cost
end

local function reset()
  if current > 0 then return begin + 2 * window - now end
  return previous > 0 and begin + window - now or math.max(0, begin - now)
end

local function encode()
  return string.format('%.0f:%.0f:%.0f:%.0f', now, begin, previous, current)
end

