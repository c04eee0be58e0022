-- Take a permit if there is room for it, or learn when to look again. The limit is the caller's own: holders
-- with another limit count by their weights, and lose nothing.
-- A token that already holds a permit gets the same grant again, with a fresh lease: a lost reply may be
-- asked for once more. A token that was released or given up can never hold a permit again, so an acquire
-- that arrives after its own clean-up does nothing.
-- Who is refused may stand in the queue, to be woken when there is room (see shared/waiters.lua and
-- shared/permits.lua). With heartbeats the limit is fair: nobody goes before those who came first, unless
-- there is room for them too, and a waiter that has not asked again by the end of its heartbeat is taken
-- for dead.
--
-- KEYS[1] permits    sorted set {token: end of its lease}; see shared/permits.lua
-- KEYS[2] ended      string, exists if this token has ended (see permit_release.lua)
-- KEYS[3] queue      sorted set {waiter: order of arrival, or until when room is kept for it}
-- KEYS[4] alive      sorted set {waiter: end of its heartbeat in microseconds}; only for a fair limit
-- ARGV[1] token      the would-be holder, "token weight label"
-- ARGV[2] ttl        lease, milliseconds
-- ARGV[3] limit      how much there is room for
-- ARGV[4] waiter     who stands in the queue, as "home:who.weight.limit"; empty not to stand in it
-- ARGV[5] heartbeat  how long a waiter counts as alive, milliseconds
-- ARGV[6] channel    what the channels begin with on which the waiters' homes listen; empty to wake nobody
-- ARGV[7] publish    the command that publishes (see lock_release.lua)
-- Returns how much is used, this permit included, when granted; {milliseconds until it may be worth while to
--         look again, 1 if others of a fair limit come before} when refused.
local permits, ended, queue, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, ttl, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local waiter, heartbeat, channel, publish = ARGV[4], ARGV[5], ARGV[6], ARGV[7]

-- include waiters
-- include permits
-- include permit_entry
if over then
  return {0, 0}
elseif not room then
  wait_in_line()
  if waiter ~= '' then
    wake(queue, alive, channel, publish, used, now) -- others may want less
  end
  return {until_room(), alive and before > 0 and 1 or 0}
end
enter()
return used
