-- A token bucket, by how much is missing from a full one: the deficit, in ticks, of which `pace` are
-- gained each unit and `token` make one token, so that no fraction is ever rounded (GCRA, in integers).
local base, deficit, back = now, 0, false
local found = redis.call('GET', key)
if found then
  local overdrawn, written, missing, paced, timed = string.match(found, '^(%+?)(%d+):(%d+):?(%d*):?(%d*)$')
  if not written then
    return {err = NOT_OURS}
  end
  written, missing, paced, timed = written + 0, missing + 0, tonumber(paced) or 1, tonumber(timed) or 1
  if paced ~= pace or timed ~= unit then
    -- Written under another policy. The time to full is what carries over, rounded up.
    local units = math.ceil(math.ceil(missing / paced) * timed / unit)
    missing = math.min(units, math.floor(MOST / pace)) * pace
  end
  if overdrawn == '' then
    missing = math.min(missing, limit * token) -- the burst was greater when it was written
  end
  back = written > now
  local passed = back and 0 or math.floor((now - written) / unit)
  if passed < missing / pace then
    deficit = missing - passed * pace
    base = back and now or written + passed * unit
  end
end

local function used()
  return math.ceil(deficit / token)
end

local function when(cost)
  local lacking = deficit + (cost - limit) * token
  return lacking > 0 and base + math.ceil(lacking / pace) * unit or now
end

local function charge(cost, at)
  local gained = math.floor((at - base) / unit) * pace
  if gained - deficit >= pace then
    deficit = gained -- it would be full by then, and must not gain from being charged now
  end
  deficit = deficit + cost * token
end

-- Whether the line would become longer than can be counted. Only a bucket's can.
local function overlong(cost, at)
  return deficit + (at - now) / unit * pace + cost * token >= MOST
end

local function reset()
  return deficit > 0 and base + math.ceil(deficit / pace) * unit - now or 0
end

local function encode()
  local overdrawn = deficit > limit * token and '+' or ''
  if unit ~= 1 then
    return string.format('%s%.0f:%.0f:%.0f:%.0f', overdrawn, base, deficit, pace, unit)
  elseif pace ~= 1 then
    return string.format('%s%.0f:%.0f:%.0f', overdrawn, base, deficit, pace)
  end
  return string.format('%s%.0f:%.0f', overdrawn, base, deficit)
end

