-- A sliding window by an exact log.
local shift, first, live, sum, newest = 0, 2, false, 0, 0
local added, oldest
local head = redis.pcall('LRANGE', key, 0, 3)
local listed, found = head[1], head[1] or head.err
if listed then
  shift, first, live, sum, newest = read_log(head)
elseif found then
  -- It is two counters. What they hold counts in full for a window.
  local begin, previous, current
  shift, begin, previous, current = read_counters(redis.call('GET', key))
  if shift then
    sum, oldest = estimate(begin, previous, current), math.max(now, begin)
    live, newest = sum > 0 or begin > now, oldest
  end
end
if not shift then
  return {err = NOT_OURS}
end
local back = shift > 0

local function used()
  return sum, newest > now
end

-- When the newest entry was admitted that may not stay, if so much of what there is may.
local function last_to_go(spare)
  local high = redis.call('LLEN', key) - 1
  while high > first do
    local low = math.max(first, high - SLICE + 1)
    local slice = redis.call('LRANGE', key, low, high)
    for i = #slice, 2, -2 do
      spare = spare - slice[i]
      if spare < 0 then return slice[i - 1] end
    end
    high = low - 1
  end
  return newest + shift
end

local function when(cost)
  local soonest = math.max(now, newest)
  local room, spare, at = limit - sum - cost, limit - cost, first
  if room >= 0 then return soonest end
  if listed and spare < -room then
    return math.max(soonest, last_to_go(spare) - shift + window) -- more has to go than may stay
  end
  while listed do
    local slice = redis.call('LRANGE', key, at, at + SLICE - 1)
    for i = 1, #slice, 2 do
      room = room + slice[i + 1]
      if room >= 0 then
        return math.max(soonest, slice[i] - shift + window)
      end
    end
    if #slice == 0 then break end
    at = at + SLICE
  end
  return soonest + window
end

local function charge(cost, at)
  newest = math.max(at, newest)
  sum, added = sum + cost, (added or 0) + cost
end

local function reset()
  return sum > 0 and newest + window - now or math.max(0, newest - now)
end

local function encode()
  return string.format('%.0f:%.0f:%.0f', now, sum, newest)
end

local function save()
  if listed and shift == 0 then
    redis.call('LPOP', key, first)
  elseif listed then
    local entries = redis.call('LRANGE', key, first, -1)
    redis.call('DEL', key)
    for i = 1, #entries, 2 do
      redis.call('RPUSH', key, entries[i] - shift, entries[i + 1])
    end
  elseif found then
    redis.call('DEL', key)
    if live then
      redis.call('RPUSH', key, oldest, sum - (added or 0))
    end
  end
  if added then
    redis.call('RPUSH', key, newest, added)
  end
  if live or added then
    redis.call('LPUSH', key, sum, now)
    redis.call('PEXPIREAT', key, math.ceil((math.max(newest, now) + window) / 1000))
  end
  listed, found, first, shift, added = true, true, 2, 0, nil
end

