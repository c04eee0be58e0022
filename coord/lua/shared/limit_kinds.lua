-- Each kind of limit as an object, for the scripts that deal with several limits at once.
--
-- They leave the key of each limit in `states`, and in `words`, after the first `skipped` of them, seven words
-- for each: kind; limit; pace (bucket: ticks gained each unit, else: the window); token (bucket: ticks, else:
-- units in a window); unit, microseconds; overdraft (how far a settlement may go beyond the limit); cost.
--
-- Beside what limit_start lists, an object has:
-- give(amount, moment)   take so much back from what was charged at that moment, or from the newest charges
-- penalize(till)         admit nothing until then
-- undo(after)            take the newest entry out, if the state is still that one. Only a log has it
local WORDS = 7 -- of each limit, as listed above
local NEWEST = -1 -- in place of a moment: the newest charges, whenever they were made

local function bucket(key, limit, pace, token, unit)
-- include limit_bucket
-- include limit_text
  local function give(amount)
    deficit = math.max(0, deficit - amount * token)
  end

  local function penalize(till)
    local empty = (limit - 1) * token + math.ceil((till - base) / unit) * pace
    deficit = math.max(deficit, empty)
  end

  return {
    found = found, back = back, used = used, when = when, charge = charge, reset = reset, encode = encode,
    save = save, give = give, penalize = penalize, overlong = overlong,
  }
end

local function fixed(key, limit, window)
-- include limit_fixed
-- include limit_text
  local function give(amount, moment)
    if moment == NEWEST or moment >= begin then
      count = math.max(0, count - amount)
    end
  end

  local function penalize(till)
    if till > begin then
      count = till < begin + window and count or 0
      begin = till
    end
  end

  return {
    found = found, back = back, used = used, when = when, charge = charge, reset = reset, encode = encode,
    save = save, give = give, penalize = penalize,
  }
end

local function counter(key, limit, window, units, unit)
-- include limit_sliding
-- include limit_counter
-- include limit_text
  local function give(amount, moment)
    if moment == NEWEST or moment >= begin then
      local part = math.min(amount, current)
      current, amount = current - part, amount - part
    end
    if moment == NEWEST or moment >= begin - window and moment < begin then
      previous = math.max(0, previous - amount)
    end
  end

  local function penalize(till)
    if till > begin then
      begin, previous, current = till, limit - 1, 0
    end
  end

  return {
    found = found, back = back, used = used, when = when, charge = charge, reset = reset, encode = encode,
    save = save, give = give, penalize = penalize,
  }
end

local function log(key, limit, window, units, unit)
-- include limit_sliding
-- include limit_log
  -- Takes back from the entry of that moment, or from the newest on; a negative amount is added to it.
  local function give(amount, moment)
    save()
    local at, gone = redis.call('LLEN', key) - 2, 0
    while at >= 2 and amount ~= 0 do
      local entry = redis.call('LRANGE', key, at, at + 1)
      local dated, cost = tonumber(entry[1]), tonumber(entry[2])
      if dated < moment then break end
      if cost > 0 and (moment == NEWEST or dated == moment) then
        local part = math.min(amount, cost)
        amount, sum = amount - part, sum - part
        redis.call('LSET', key, at + 1, part < cost and cost - part or 'gone')
        if part == cost then
          redis.call('LSET', key, at, 'gone')
          gone = gone + 2
        end
      end
      at = at - 2
    end
    if gone > 0 then
      redis.call('LREM', key, -gone, 'gone')
    end
    live = redis.call('LLEN', key) > 2
    if live then
      newest = tonumber(redis.call('LINDEX', key, -2))
      redis.call('LSET', key, 1, sum)
    else
      newest = 0
      redis.call('DEL', key)
    end
    return amount
  end

  local function penalize(till)
    if till > newest then
      if listed and redis.call('LINDEX', key, -1) == '0' then
        redis.call('RPOP', key, 2) -- a penalty before this one
      end
      newest, added = till, 0
    end
  end

  local function undo(after)
    if not listed then return end
    local last = redis.call('LRANGE', key, -2, -1)
    if string.format('%.0f:%.0f:%.0f', head[1], head[2], last[1]) ~= after then return end
    redis.call('RPOP', key, 2)
    if redis.call('LLEN', key) == 2 then
      redis.call('DEL', key)
    else
      redis.call('LSET', key, 1, head[2] - last[2])
    end
  end

  return {
    found = found, back = back, used = used, when = when, charge = charge, reset = reset, encode = encode,
    save = save, give = give, penalize = penalize, undo = undo,
  }
end

-- Only the limits that are asked for are made, each anew: its functions hold its state.
local kinds = {bucket = bucket, fixed = fixed, counter = counter, log = log}
local function read_limit(i)
  local at = skipped + (i - 1) * WORDS
  local limit, pace, token, unit = words[at + 2] + 0, words[at + 3] + 0, words[at + 4] + 0, words[at + 5] + 0
  local s = kinds[words[at + 1]](states[i], limit, pace, token, unit)
  s.key, s.name, s.limit, s.overdraft, s.cost = states[i], words[at + 1], limit, words[at + 6] + 0, words[at + 7] + 0
  return s
end

-- Read all limits; the error instead, if a value is not one of ours.
local function read_limits()
  local limits = {}
  for i = 1, #states do
    limits[i] = read_limit(i)
    if limits[i].err then
      return limits[i]
    end
  end
  return limits
end

-- Find the first moment at which all costs fit, and the number of the limit that says so; 0 if all fit now.
local function soonest(limits)
  local at, binding = now, 0
  for i, s in ipairs(limits) do
    s.fits = s.cost > 0 and s.when(s.cost) or now
    if s.fits > at then
      at, binding = s.fits, i
    end
  end
  return at, binding
end

-- Write a state that was asked in vain only if the clock has stepped back, or it has lost its TTL.
local function mend(s)
  if s.cost > 0 and (s.back or redis.call('PTTL', s.key) == -1) then
    s.save()
  end
end

-- Give back what a limit was charged at a moment, or the newest charges.
local function give_back_to(s, amount, moment)
  s.give(amount, moment)
  if s.name ~= 'log' then
    s.save() -- a log is written entry by entry
  end
end

-- Say of each limit what remains, the microseconds until its cost fits (or how much a settlement has charged),
-- and those until nothing is charged.
local function tell(reply, limits, granted)
  for _, s in ipairs(limits) do
    local counted, closed = s.used()
    reply[#reply + 1] = closed and 0 or math.max(0, s.limit - counted)
    reply[#reply + 1] = s.charged or granted and 0 or s.fits - now
    reply[#reply + 1] = s.reset()
  end
  return reply
end

