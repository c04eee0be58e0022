-- A fixed window: it begins with the first admission after the last one has ended.
local begin, count, back = now, 0, false
local found = redis.call('GET', key)
if found then
  local written, began, counted = string.match(found, '^(%d+):(%d+):(%d+)$')
  if not written then
    return {err = NOT_OURS}
  end
  local shift = math.max(0, written - now)
  back, began = shift > 0, began - shift
  if now < began + window then
    begin, count = began, counted + 0
  end
end

local function used()
  return count, begin > now
end

local function when(cost)
  return count + cost <= limit and math.max(now, begin) or begin + window
end

local function charge(cost, at)
  if count == 0 and at > begin or at >= begin + window then
    begin, count = at, 0
  end
  count = count + cost
end

local function reset()
  return count > 0 and begin + window - now or math.max(0, begin - now)
end

local function encode()
  return string.format('%.0f:%.0f:%.0f', now, begin, count)
end

