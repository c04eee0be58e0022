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

local now = server_time()
local used, weight = in_use(permits, now), weight_of(token)
local mine = redis.call('ZSCORE', permits, token)
if not mine and redis.call('EXISTS', ended) == 1 then
  return {0, 0}
end

local before
if not mine then
  if alive then
    bury(queue, alive, now, heartbeat)
    before = wanted_before(queue, waiter, limit - used)
  else
    before = kept_for_others(queue, waiter, now)
  end
end
if not mine and used + before + weight > limit then
  if waiter ~= '' then
    stand_in(queue, waiter, now, heartbeat)
    if alive then
      keep_alive(alive, waiter, now, heartbeat)
    end
    wake(queue, alive, channel, publish, used, now)
  end
  local first = redis.call('ZRANGEBYSCORE', permits, digits(MOST), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  local left = used + weight > limit and first and tonumber(first) - now or KEPT
  return {math.ceil(left / 1000), alive and before > 0 and 1 or 0}
end

used = mine and used or used + weight
lend(permits, token, ttl, used, now)
if waiter ~= '' then
  redis.call('ZREM', queue, waiter)
  if alive then
    redis.call('ZREM', alive, waiter)
  end
end
wake(queue, alive, channel, publish, used, now)
return used
