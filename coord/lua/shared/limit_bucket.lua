-- A token bucket, by how much is missing from a full one: the deficit, in ticks, of which `pace` are
-- gained each unit and `token` make one token, so that no fraction is ever rounded (GCRA, in integers).
local base, deficit, back = now, 0, false
local found = redis.call('GET', key)
if found then
  local beyond, written, whole, rest, coin, paced, timed, most =
    string.match(found, '^(%+?)(%d+):(%d+):(%d+):?(%d*):?(%d*):?(%d*):?(%d*)$')
  if not written then
    return {err = NOT_OURS}
  end
  written, whole, rest = written + 0, whole + 0, rest + 0
  local missing
  if beyond == '' then -- what was used carries over in tokens; the rest is less than one, by whatever policy
    missing = math.min(whole * token + math.min(rest, token), limit * token)
  elseif coin + 0 == token and paced + 0 == pace and timed + 0 == unit and most + 0 == limit then
    missing = whole * token + rest
  else -- booked ahead, overdrawn or paused under another policy: the time until it has a token carries over
    local lacking = (whole - most + 1) * coin + rest
    local units = math.ceil(math.ceil(lacking / paced) * timed / unit)
    missing = (limit - 1) * token + math.min(units, math.floor((MOST - limit * token) / pace)) * pace
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

-- Whole tokens and the rest of one: so a bucket of another rate knows what was used, and need not know this one's.
local function encode()
  local rest = deficit % token
  local text = string.format('%.0f:%.0f:%.0f', base, (deficit - rest) / token, rest)
  if deficit > limit * token then
    return string.format('+%s:%.0f:%.0f:%.0f:%.0f', text, token, pace, unit, limit)
  end
  return text
end
