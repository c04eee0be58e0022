-- A token bucket, by how much is missing from a full one: the deficit, in ticks, of which `pace` are
-- gained each unit and `token` make one token, so that no fraction is ever rounded (GCRA, in integers).
local base, deficit, back = now, 0, false
local found = redis.call('GET', key)
if found then
  local beyond, written, missing, coin, paced, timed, most =
    string.match(found, '^(%+?)(%d+):(%d+):(%d+):?(%d*):?(%d*):?(%d*)$')
  if not written then
    return {err = NOT_OURS}
  end
  written, missing, coin = written + 0, missing + 0, coin + 0
  if beyond ~= '' and (coin ~= token or paced + 0 ~= pace or timed + 0 ~= unit or most + 0 ~= limit) then
    -- Booked ahead, overdrawn or paused under another policy: the time until it has a token carries over.
    local units = math.ceil(math.ceil((missing - (most - 1) * coin) / paced) * timed / unit)
    missing = (limit - 1) * token + math.min(units, math.floor((MOST - limit * token) / pace)) * pace
  elseif beyond == '' then
    if coin ~= token then -- what was used carries over, in tokens, rounded up
      local rest = missing % coin
      missing = (missing - rest) / coin * token + math.ceil(rest / coin * token)
    end
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
  if deficit > limit * token then
    return string.format('+%.0f:%.0f:%.0f:%.0f:%.0f:%.0f', base, deficit, token, pace, unit, limit)
  elseif unit ~= 1 then
    return string.format('%.0f:%.0f:%.0f:%.0f:%.0f', base, deficit, token, pace, unit)
  elseif pace ~= 1 then
    return string.format('%.0f:%.0f:%.0f:%.0f', base, deficit, token, pace)
  end
  return string.format('%.0f:%.0f:%.0f', base, deficit, token)
end

