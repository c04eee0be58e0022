-- Take a permit of a fair concurrency limit and charge rates, both or neither. What permit_acquire promises holds:
-- a token that already holds its permit gets the same grant again. It is charged no second time, even if its permit
-- has ended before its answer arrived.
-- Whoever is refused may stand in the line, in which nobody goes before another: who comes first has to wait until
-- there is room and the rates allow it, and all others for the first. So only the first is told when to ask again,
-- and a refusal wakes nobody: whom it would wake, waits for the rates.
--
-- KEYS[1] permits    sorted set {token: end of its lease}; see shared/permits.lua
-- KEYS[2] ended      string, exists if this token has ended (see permit_release.lua)
-- KEYS[3] queue      sorted set {waiter: order of arrival}
-- KEYS[4] alive      sorted set {waiter: end of its heartbeat in microseconds}
-- KEYS[5] charged    string, when this token was charged; exists for as long as it may be asked for again
-- KEYS[6..] states   of the rates: see limit_apply
-- ARGV[1] token      the would-be holder, "token weight label"
-- ARGV[2] ttl        lease, milliseconds
-- ARGV[3] limit      how much there is room for
-- ARGV[4] waiter     who stands in the queue, as "home:who.weight.limit"; empty not to stand in it
-- ARGV[5] heartbeat  how long a waiter counts as alive, milliseconds
-- ARGV[6] channel    what the channels begin with on which the waiters' homes listen; empty to wake nobody
-- ARGV[7] publish    the command that publishes (see lock_release.lua)
-- ARGV[8] memory     how long to remember that it was charged, milliseconds
-- ARGV[9..] policies seven words for each rate: see shared/limit_kinds.lua
-- Returns an error, WRONGTYPE, if a state is not one of ours; else {1 granted or 0, how much is used, this permit
--         included, milliseconds until there may be room for it or 0 if there is, 1 if others come before, when
--         the rates were charged or else the server's time, then for each rate: remaining, microseconds until its
--         cost fits, microseconds until nothing is charged}.
local permits, ended, queue, alive, charged, states = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], {unpack(KEYS, 6)}
local token, ttl, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local waiter, heartbeat, channel, publish, memory = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local words, skipped = ARGV, 8

-- include waiters
-- include permits
-- include permit_entry
-- include limit_start
-- include limit_kinds
local limits = read_limits()
if limits.err then
  return limits
end

local paid = redis.call('GET', charged)
local allowed = paid or soonest(limits) == now
local granted = mine or not over and room and before == 0 and allowed
if granted and not mine and not paid then
  for _, s in ipairs(limits) do
    if s.cost > 0 then
      s.charge(s.cost, now)
      s.save()
    end
  end
  redis.call('SET', charged, digits(now), 'PX', memory)
end
if granted then
  enter()
elseif not over then
  for _, s in ipairs(limits) do
    mend(s)
  end
  wait_in_line()
end
local free = granted or not over and room and before == 0
local moment = paid and tonumber(paid) or now
local reply = {granted and 1 or 0, used, free and 0 or until_room(), before > 0 and 1 or 0, moment}
return tell(reply, limits, granted or paid)
