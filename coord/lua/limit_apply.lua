-- Apply one verb to one or more limits of the same caller: to all of them, or to none.
--
-- There are four kinds of limit, each with the same few functions (load, used, when, charge, give,
-- penalize, reset, save), and the verbs at the end know no kind. What all kinds have in common:
-- Time is whole microseconds. A state is dated by when it was written, and what has passed since then is
-- never less than nothing: if the clock steps back, no state is older or younger for it, and it is written
-- anew. Nobody overtakes: while something is booked for later, nothing is admitted before it.
-- A denied call writes nothing, unless the clock has stepped back or a state has lost its TTL.
-- TTL: until a state says no more than none at all, as a moment in milliseconds, rounded up. A duration
-- would count from the server's clock in whole milliseconds, and end up to one too early.
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
local states = KEYS
local verb, operand = ARGV[1], tonumber(ARGV[2])
local WORDS, SLICE, MOST, NEWEST = 7, 128, 2 ^ 52, -1

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function in_millis(moment)
  return string.format('%.0f', math.ceil(moment / 1000))
end

local function save_text(s, text, reset)
  if reset > 0 then
    redis.call('SET', s.key, text, 'PXAT', in_millis(now + reset))
  elseif s.type ~= 'none' then
    redis.call('DEL', s.key)
  end
end

-- A token bucket, by how much is missing from a full one: the deficit, in ticks, of which `pace` are
-- gained each unit and `token` make one token, so that no fraction is ever rounded (GCRA, in integers).
local bucket = {}

function bucket.load(s)
  s.base, s.deficit = now, 0
  if not s.text then return true end
  local overdrawn, written, deficit, pace, unit = string.match(s.text, '^(%+?)(%d+):(%d+):?(%d*):?(%d*)$')
  if not written then return false end
  written, deficit = tonumber(written), tonumber(deficit)
  pace, unit = tonumber(pace) or 1, tonumber(unit) or 1
  if pace ~= s.pace or unit ~= s.unit then
    -- Written under another policy. The time to full is what carries over, rounded up.
    local units = math.ceil(math.ceil(deficit / pace) * unit / s.unit)
    deficit = math.min(units, math.floor(MOST / s.pace)) * s.pace
  end
  if overdrawn == '' then
    deficit = math.min(deficit, s.limit * s.token) -- the burst was greater when it was written
  end
  s.back = written > now
  local passed = s.back and 0 or math.floor((now - written) / s.unit)
  if passed < deficit / s.pace then
    s.deficit = deficit - passed * s.pace
    s.base = s.back and now or written + passed * s.unit
  end
  return true
end

function bucket.used(s)
  return math.ceil(s.deficit / s.token)
end

function bucket.when(s, cost)
  local lacking = s.deficit + (cost - s.limit) * s.token
  if lacking <= 0 then return now end
  return s.base + math.ceil(lacking / s.pace) * s.unit
end

function bucket.charge(s, cost, at)
  local gained = math.floor((at - s.base) / s.unit) * s.pace
  if gained - s.deficit >= s.pace then
    s.deficit = gained -- it would be full by then, and must not gain from being charged now
  end
  s.deficit = s.deficit + cost * s.token
end

function bucket.give(s, amount)
  s.deficit = math.max(0, s.deficit - amount * s.token)
end

function bucket.penalize(s, till)
  local empty = (s.limit - 1) * s.token + math.ceil((till - s.base) / s.unit) * s.pace
  s.deficit = math.max(s.deficit, empty)
end

function bucket.reset(s)
  return s.deficit > 0 and s.base + math.ceil(s.deficit / s.pace) * s.unit - now or 0
end

function bucket.encode(s)
  local overdrawn = s.deficit > s.limit * s.token and '+' or ''
  if s.unit ~= 1 then
    return string.format('%s%.0f:%.0f:%.0f:%.0f', overdrawn, s.base, s.deficit, s.pace, s.unit)
  elseif s.pace ~= 1 then
    return string.format('%s%.0f:%.0f:%.0f', overdrawn, s.base, s.deficit, s.pace)
  end
  return string.format('%s%.0f:%.0f', overdrawn, s.base, s.deficit)
end

-- A fixed window: it begins with the first admission after the last one has ended.
local fixed = {}

function fixed.load(s)
  s.begin, s.count = now, 0
  if not s.text then return true end
  local written, begin, count = string.match(s.text, '^(%d+):(%d+):(%d+)$')
  if not written then return false end
  local shift = math.max(0, tonumber(written) - now)
  s.back, begin = shift > 0, tonumber(begin) - shift
  if now < begin + s.pace then
    s.begin, s.count = begin, tonumber(count)
  end
  return true
end

function fixed.used(s)
  return s.count
end

function fixed.when(s, cost)
  return s.count + cost <= s.limit and math.max(now, s.begin) or s.begin + s.pace
end

function fixed.charge(s, cost, at)
  if s.count == 0 and at > s.begin or at >= s.begin + s.pace then
    s.begin, s.count = at, 0
  end
  s.count = s.count + cost
end

function fixed.give(s, amount, moment)
  if moment == NEWEST or moment >= s.begin then
    s.count = math.max(0, s.count - amount)
  end
end

function fixed.penalize(s, till)
  if till > s.begin then
    s.count = till < s.begin + s.pace and s.count or 0
    s.begin = till
  end
end

function fixed.reset(s)
  return s.count > 0 and s.begin + s.pace - now or math.max(0, s.begin - now)
end

function fixed.encode(s)
  return string.format('%.0f:%.0f:%.0f', now, s.begin, s.count)
end

-- A sliding window by two counters: what the window before this one counts shrinks evenly as time
-- passes. In units of which `token` make a window, so that products of counts and times are exact.
local counter, log = {}, {}

local function roll(s, at)
  local passed = math.floor((at - s.begin) / s.pace)
  if passed == 1 then
    s.begin, s.previous, s.current = s.begin + s.pace, s.current, 0
  elseif passed > 1 then
    s.previous, s.current = 0, 0
  end
  if s.previous + s.current == 0 then
    s.begin = math.max(s.begin, at) -- as though nothing had been remembered
  end
end

local function into(s)
  return math.max(0, math.floor((now - s.begin) / s.unit))
end

function counter.load(s)
  s.begin, s.previous, s.current = now, 0, 0
  if s.type == 'list' then
    -- It was a log. What that holds counts in full for a window, and then shrinks.
    if not log.load(s) then return false end
    s.current = s.sum
    s.begin = s.live and s.newest or now
    return true
  end
  if not s.text then return true end
  local written, begin, previous, current = string.match(s.text, '^(%d+):(%d+):(%d+):(%d+)$')
  if not written then return false end
  local shift = math.max(0, tonumber(written) - now)
  s.back = shift > 0
  s.begin, s.previous, s.current = tonumber(begin) - shift, tonumber(previous), tonumber(current)
  roll(s, now)
  return true
end

function counter.used(s)
  return s.current + math.ceil(s.previous * (s.token - into(s)) / s.token)
end

function counter.when(s, cost)
  local room = s.limit - s.current - cost
  if room >= 0 then
    if s.previous * (s.token - into(s)) <= room * s.token then
      return math.max(now, s.begin)
    end
    return s.begin + (s.token - math.floor(room * s.token / s.previous)) * s.unit
  end
  local shrunk = s.token - math.floor((s.limit - cost) * s.token / s.current)
  return s.begin + s.pace + math.max(0, shrunk) * s.unit
end

function counter.charge(s, cost, at)
  roll(s, at)
  s.current = s.current + cost
end

function counter.give(s, amount, moment)
  if moment == NEWEST or moment >= s.begin then
    local part = math.min(amount, s.current)
    s.current, amount = s.current - part, amount - part
  end
  if moment == NEWEST or moment >= s.begin - s.pace and moment < s.begin then
    s.previous = math.max(0, s.previous - amount)
  end
end

function counter.penalize(s, till)
  if till > s.begin then
    s.begin, s.previous, s.current = till, s.limit - 1, 0
  end
end

function counter.reset(s)
  if s.current > 0 then return s.begin + 2 * s.pace - now end
  return s.previous > 0 and s.begin + s.pace - now or math.max(0, s.begin - now)
end

function counter.encode(s)
  return string.format('%.0f:%.0f:%.0f:%.0f', now, s.begin, s.previous, s.current)
end

-- A sliding window by an exact log. Entries are ordered by time; the latest may lie in the future.
function log.load(s)
  s.sum, s.newest, s.first, s.shift, s.live = 0, 0, 0, 0, false
  if s.type == 'none' then return true end
  if s.type == 'string' then
    -- It was two counters. What they hold counts in full for a window.
    if not counter.load(s) then return false end
    s.sum, s.newest = counter.used(s), math.max(now, s.begin)
    s.live = s.sum > 0 or s.begin > now
    return true
  end
  local head = redis.call('LRANGE', s.key, 0, 1)
  local written, sum = tonumber(head[1]), tonumber(head[2])
  if not written or not sum then return false end
  s.shift = math.max(0, written - now)
  s.back, s.first = s.shift > 0, 2
  repeat
    local slice, i = redis.call('LRANGE', s.key, s.first, s.first + SLICE - 1), 1
    while slice[i] and now >= tonumber(slice[i]) - s.shift + s.pace do
      sum, i, s.first = sum - tonumber(slice[i + 1]), i + 2, s.first + 2
    end
    s.live = slice[i] ~= nil
  until s.live or #slice == 0
  if s.live then
    s.sum, s.newest = sum, tonumber(redis.call('LINDEX', s.key, -2)) - s.shift
  end
  return true
end

function log.used(s)
  return s.sum
end

function log.when(s, cost)
  local soonest = math.max(now, s.newest)
  local room, at = s.limit - s.sum - cost, s.first
  if room >= 0 then return soonest end
  while s.type == 'list' do
    local slice = redis.call('LRANGE', s.key, at, at + SLICE - 1)
    for i = 1, #slice, 2 do
      room = room + tonumber(slice[i + 1])
      if room >= 0 then
        return math.max(soonest, tonumber(slice[i]) - s.shift + s.pace)
      end
    end
    if #slice == 0 then break end
    at = at + SLICE
  end
  return soonest + s.pace
end

function log.charge(s, cost, at)
  s.newest = math.max(at, s.newest)
  s.sum, s.added = s.sum + cost, (s.added or 0) + cost
end

function log.penalize(s, till)
  if till > s.newest then
    if s.type == 'list' and redis.call('LINDEX', s.key, -1) == '0' then
      redis.call('RPOP', s.key, 2) -- a penalty before this one
    end
    s.newest, s.added = till, 0
  end
end

function log.reset(s)
  return s.sum > 0 and s.newest + s.pace - now or math.max(0, s.newest - now)
end

function log.save(s)
  if s.type == 'list' and s.shift == 0 then
    redis.call('LPOP', s.key, s.first)
  elseif s.type == 'list' then
    local entries = redis.call('LRANGE', s.key, s.first, -1)
    redis.call('DEL', s.key)
    for i = 1, #entries, 2 do
      redis.call('RPUSH', s.key, string.format('%.0f', tonumber(entries[i]) - s.shift), entries[i + 1])
    end
  elseif s.type == 'string' then
    redis.call('DEL', s.key)
    if s.live then
      local old = s.sum - (s.added or 0)
      redis.call('RPUSH', s.key, string.format('%.0f', math.max(now, s.begin)), string.format('%.0f', old))
    end
  end
  if s.added then
    redis.call('RPUSH', s.key, string.format('%.0f', s.newest), string.format('%.0f', s.added))
  end
  if s.live or s.added then
    redis.call('LPUSH', s.key, string.format('%.0f', s.sum), string.format('%.0f', now))
    redis.call('PEXPIREAT', s.key, in_millis(math.max(s.newest, now) + s.pace))
  end
  s.type, s.first, s.shift, s.added = 'list', 2, 0, nil
end

-- Takes back from the entry of that moment, or from the newest on; a negative amount is added to it.
function log.give(s, amount, moment)
  log.save(s)
  local at, gone = redis.call('LLEN', s.key) - 2, 0
  while at >= 2 and amount ~= 0 do
    local entry = redis.call('LRANGE', s.key, at, at + 1)
    local dated, cost = tonumber(entry[1]), tonumber(entry[2])
    if dated < moment then break end
    if cost > 0 and (moment == NEWEST or dated == moment) then
      local part = math.min(amount, cost)
      amount, s.sum = amount - part, s.sum - part
      redis.call('LSET', s.key, at + 1, part < cost and string.format('%.0f', cost - part) or 'gone')
      if part == cost then
        redis.call('LSET', s.key, at, 'gone')
        gone = gone + 2
      end
    end
    at = at - 2
  end
  if gone > 0 then
    redis.call('LREM', s.key, -gone, 'gone')
  end
  s.live = redis.call('LLEN', s.key) > 2
  if s.live then
    s.newest = tonumber(redis.call('LINDEX', s.key, -2))
    redis.call('LSET', s.key, 1, string.format('%.0f', s.sum))
  else
    s.newest = 0
    redis.call('DEL', s.key)
  end
  return amount
end

function log.mark(s)
  return string.format('%.0f:%.0f:%.0f', now, s.sum, s.newest)
end

function log.undo(s, _, after)
  local head, last = redis.call('LRANGE', s.key, 0, 1), redis.call('LRANGE', s.key, -2, -1)
  if #head < 2 or #last < 2 then return end
  local mark = string.format('%.0f:%.0f:%.0f', tonumber(head[1]), tonumber(head[2]), tonumber(last[1]))
  if mark ~= after then return end
  redis.call('RPOP', s.key, 2)
  if redis.call('LLEN', s.key) == 2 then
    redis.call('DEL', s.key)
  else
    redis.call('LSET', s.key, 1, string.format('%.0f', tonumber(head[2]) - tonumber(last[2])))
  end
end

-- A kind whose state is one string is saved, and put back, as a whole.
local kinds = {bucket = bucket, fixed = fixed, counter = counter, log = log}
for name, kind in pairs(kinds) do
  if name ~= 'log' then
    kind.mark = kind.encode
    kind.save = function(s) save_text(s, kind.encode(s), kind.reset(s)) end
    kind.undo = function(s, before, after)
      if s.text == after then
        s.text = before ~= '' and before
        kind.load(s)
        save_text(s, before, kind.reset(s))
      end
    end
  end
end

local limits = {}
for i, key in ipairs(states) do
  local at = 2 + (i - 1) * WORDS
  local s = {
    key = key, kind = kinds[ARGV[at + 1]], limit = tonumber(ARGV[at + 2]), pace = tonumber(ARGV[at + 3]),
    token = tonumber(ARGV[at + 4]), unit = tonumber(ARGV[at + 5]), overdraft = tonumber(ARGV[at + 6]),
    cost = tonumber(ARGV[at + 7]), type = redis.call('TYPE', key).ok,
  }
  local listed = s.kind == log or s.kind == counter
  if s.type == 'string' then
    s.text = redis.call('GET', key)
  elseif s.type ~= 'none' and not (listed and s.type == 'list') then
    return redis.error_reply('WRONGTYPE this value is not the state of a limit')
  end
  if not s.kind.load(s) then
    return redis.error_reply('WRONGTYPE this value is not the state of a limit')
  end
  limits[i] = s
end

if verb == 'undo' then
  local marks = 2 + #limits * WORDS
  for i, s in ipairs(limits) do
    s.kind.undo(s, ARGV[marks + 2 * i - 1], ARGV[marks + 2 * i])
  end
  return {1, 0, now, 0, 0}
end

local at, binding, more, marks = now, 0, 0, {}
local granted = true
if verb == 'take' or verb == 'reserve' or verb == 'look' then
  for i, s in ipairs(limits) do
    s.fits = s.cost > 0 and s.kind.when(s, s.cost) or now
    if s.fits > at then
      at, binding = s.fits, i
    end
    if s.kind == bucket and s.deficit + (at - now) / s.unit * s.pace + s.cost * s.token >= MOST then
      granted = false -- the line has become longer than can be counted
    end
  end
  granted = granted and at - now <= (verb == 'reserve' and operand or 0)
end

for i, s in ipairs(verb ~= 'look' and limits or {}) do
  local kind = s.kind
  if verb == 'settle' and s.cost ~= 0 then
    if s.cost < 0 then
      kind.give(s, -s.cost, operand)
    else
      s.charged = math.max(0, math.min(s.cost, s.limit + s.overdraft - kind.used(s)))
      local new = s.charged
      if s.kind == log and operand ~= NEWEST and new > 0 then
        new = -log.give(s, -new, operand) -- it belongs to an entry, if that is still there
      end
      if new > 0 then
        kind.charge(s, new, now)
      end
    end
    if s.kind ~= log or s.added then
      kind.save(s)
    end
  elseif verb == 'penalize' then
    kind.penalize(s, now + operand)
    kind.save(s)
  elseif granted and s.cost > 0 then
    marks[2 * i - 1] = s.type == 'none' and '' or s.kind == log and 'log' or s.kind.encode(s)
    kind.charge(s, s.cost, at)
    if verb == 'take' and operand > 0 then
      more = math.max(0, math.min(operand, s.limit - kind.used(s)))
      kind.charge(s, more, at)
    end
    kind.save(s)
    marks[2 * i] = kind.mark(s)
  elseif s.cost > 0 and (s.back or redis.call('PTTL', s.key) == -1) then
    kind.save(s)
  end
end

local reply = {granted and 1 or 0, at - now, now, more, binding}
for _, s in ipairs(limits) do
  local closed = (s.kind == log and s.newest or s.begin or now) > now
  reply[#reply + 1] = closed and 0 or math.max(0, s.limit - s.kind.used(s))
  reply[#reply + 1] = s.charged or granted and 0 or s.fits - now
  reply[#reply + 1] = s.kind.reset(s)
end
if verb == 'reserve' and granted and at > now then
  for i = 1, 2 * #limits do
    reply[#reply + 1] = marks[i] or ''
  end
end
return reply
