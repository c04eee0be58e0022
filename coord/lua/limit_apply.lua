-- Apply one verb to one or more limits of the same caller: to all of them, or to none.
--
-- One limit that is only taken from, reserved or looked at has a script of its own, limit_bucket and its like,
-- which makes no more than it needs: a decision costs about half as much there.
--
-- KEYS[1..n] states    bucket   string "written:used:rest"; beyond empty, by what is booked, paused or
--                               overdrawn, "+written:used:rest:token:pace:unit:limit"
--                      log      list: written, sum of costs, then time and cost of each admission
--                      counter  string "written:begin:previous:current", shares its key with log
--                      fixed    string "written:begin:count"
-- ARGV[1]    verb      take, reserve, look, settle, penalize or undo
-- ARGV[2]    operand   take: how much more to take, if it is there. reserve: the longest wait. settle: the
--                      moment of the charge that is corrected, -1 for the newest. penalize: for how long
-- ARGV[3..]  policies  seven words for each key: see shared/limit_kinds.lua. Then, to undo, the state before
--                      and the state after that the reservation of each key returned.
-- Returns an error, WRONGTYPE, if a value is not one of ours; else {granted 1 or 0, microseconds to wait,
--         the server's time, how much more was taken, which limit says no, then for each limit: remaining,
--         microseconds until its cost fits (to settle: how much more was charged), microseconds until
--         nothing is charged}, and for a reservation that waits: the state before and the state after of each.
local states, words, verb, operand = KEYS, ARGV, ARGV[1], ARGV[2] + 0
local skipped = 2

-- include limit_clock
-- include limit_start
-- include limit_kinds
local limits = read_limits()
if limits.err then
  return limits
end

if verb == 'undo' then
  for i, s in ipairs(limits) do
    local marks = skipped + #limits * WORDS + 2 * i
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
  at, binding = soonest(limits)
  granted = at - now <= (verb == 'reserve' and operand or 0)
  for _, s in ipairs(at > now and limits or {}) do
    granted = granted and not (s.overlong and s.overlong(s.cost, at))
  end
end

for i, s in ipairs(verb ~= 'look' and limits or {}) do
  if verb == 'settle' and s.cost < 0 then
    give_back_to(s, -s.cost, operand)
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
  else
    mend(s)
  end
end

local reply = tell({granted and 1 or 0, at - now, now, more, binding}, limits, granted)
if verb == 'reserve' and granted and at > now then
  for i = 1, 2 * #limits do
    reply[#reply + 1] = marks[i] or ''
  end
end
return reply
