-- Apply one verb to one or more limits of the same caller: to all of them, or to none.
--
-- One limit that is only taken from, reserved or looked at has a script of its own, limit_bucket and its like,
-- which makes no more than it needs: a decision costs about half as much there.
--
-- KEYS[1..n] states    bucket   string "written:deficit[:pace[:unit]]", with a leading + if it is overdrawn
--                      log      list: written, sum of costs, then time and cost of each admission
--                      counter  string "written:begin:previous:current", shares its key with log
--                      fixed    string "written:begin:count"
-- ARGV[1]    verb      take, reserve, look, settle, penalize or undo
-- ARGV[2]    operand   take: how much more to take, if it is there. reserve: the longest wait. settle: the
--                      moment of the charge that is corrected, -1 for the newest. penalize: for how long
-- ARGV[3..]  policies  seven words for each key: kind; limit; pace (bucket: ticks gained each unit, else:
--                      the window); token (bucket: ticks, else: units in a window); unit, microseconds;
--                      overdraft (how far a settlement may go beyond the limit); cost. Then, to undo, the
--                      state before and the state after that the reservation of each key returned.
-- Returns an error, WRONGTYPE, if a value is not one of ours; else {granted 1 or 0, microseconds to wait,
--         the server's time, how much more was taken, which limit says no, then for each limit: remaining,
--         microseconds until its cost fits (to settle: how much more was charged), microseconds until
--         nothing is charged}, and for a reservation that waits: the state before and the state after of each.
local states, words, verb, operand = KEYS, ARGV, ARGV[1], ARGV[2] + 0
local WORDS, NEWEST = 7, -1

-- include limit_start

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
  local at = 2 + (i - 1) * WORDS
  local limit, pace, token, unit = words[at + 2] + 0, words[at + 3] + 0, words[at + 4] + 0, words[at + 5] + 0
  local s = kinds[words[at + 1]](states[i], limit, pace, token, unit)
  s.key, s.name, s.limit, s.overdraft, s.cost = states[i], words[at + 1], limit, words[at + 6] + 0, words[at + 7] + 0
  return s
end

local limits = {}
for i = 1, #states do
  limits[i] = read_limit(i)
  if limits[i].err then
    return limits[i]
  end
end

if verb == 'undo' then
  for i, s in ipairs(limits) do
    local marks = 2 + #limits * WORDS + 2 * i
    local before, after = words[marks - 1], words[marks]
    if s.undo then
      s.undo(after)
    elseif s.found == after and before == '' then
      redis.call('DEL', s.key)
    elseif s.found == after then
      redis.call('SET', s.key, before)
      read_limit(i).save()
    end
  end
  return {1, 0, now, 0, 0}
end

local at, binding, more, marks = now, 0, 0, {}
local granted = true
if verb == 'take' or verb == 'reserve' or verb == 'look' then
  for i, s in ipairs(limits) do
    s.fits = s.cost > 0 and s.when(s.cost) or now
    if s.fits > at then
      at, binding = s.fits, i
    end
  end
  granted = at - now <= (verb == 'reserve' and operand or 0)
  for _, s in ipairs(at > now and limits or {}) do
    granted = granted and not (s.overlong and s.overlong(s.cost, at))
  end
end

for i, s in ipairs(verb ~= 'look' and limits or {}) do
  if verb == 'settle' and s.cost < 0 then
    s.give(-s.cost, operand)
    if s.name ~= 'log' then
      s.save() -- a log is written entry by entry
    end
  elseif verb == 'settle' and s.cost > 0 then
    s.charged = math.max(0, math.min(s.cost, s.limit + s.overdraft - s.used()))
    local new = s.charged
    if s.name == 'log' and operand ~= NEWEST and new > 0 then
      new = -s.give(-new, operand) -- it belongs to an entry, if that is still there
    end
    if new > 0 then
      s.charge(new, now)
      s.save()
    end
  elseif verb == 'penalize' then
    s.penalize(now + operand)
    s.save()
  elseif granted and s.cost > 0 then
    marks[2 * i - 1] = s.found and s.encode() or ''
    s.charge(s.cost, at)
    if verb == 'take' and operand > 0 then
      more = math.max(0, math.min(operand, s.limit - s.used()))
      s.charge(more, at)
    end
    s.save()
    marks[2 * i] = s.encode()
  elseif s.cost > 0 and (s.back or redis.call('PTTL', s.key) == -1) then
    s.save()
  end
end

local reply = {granted and 1 or 0, at - now, now, more, binding}
for _, s in ipairs(limits) do
  local counted, closed = s.used()
  reply[#reply + 1] = closed and 0 or math.max(0, s.limit - counted)
  reply[#reply + 1] = s.charged or granted and 0 or s.fits - now
  reply[#reply + 1] = s.reset()
end
if verb == 'reserve' and granted and at > now then
  for i = 1, 2 * #limits do
    reply[#reply + 1] = marks[i] or ''
  end
end
return reply
