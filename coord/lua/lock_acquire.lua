-- Take a lock, or learn how long its holder's lease still runs.
-- A token that already holds the lock gets the same grant again, with a fresh lease: a lost reply may
-- be asked for once more. A token that was released or given up can never hold the lock again, so an
-- acquire that arrives after its own clean-up does nothing.
-- Who is refused may stand in the queue, to be woken by a release (see shared/waiters.lua). With heartbeats
-- the lock is fair: the queue is by arrival here, only its first may take the lock, and a waiter that has
-- not asked again by the end of its heartbeat is taken for dead.
--
-- KEYS[1] lock       string, the holder: "token fence since mode label"; lives as long as the lease
-- KEYS[2] fence      string, the highest fence handed out for this name
-- KEYS[3] ended      string, exists if this token has ended (see lock_release.lua)
-- KEYS[4] queue      sorted set {waiter: order of arrival, or until when the lock is kept for it}
-- KEYS[5] alive      sorted set {waiter: end of its heartbeat in microseconds}; only for a fair lock
-- ARGV[1] token      the would-be holder
-- ARGV[2] ttl        lease, milliseconds
-- ARGV[3] memory     how long the fence is remembered when idle, milliseconds
-- ARGV[4] label      what to show people about the holder
-- ARGV[5] waiter     who stands in the queue, as "home:waiter"; empty not to stand in it
-- ARGV[6] heartbeat  how long a waiter counts as alive, milliseconds
-- ARGV[7] channel    what the channels begin with on which the waiters' homes listen
-- ARGV[8] publish    the command that publishes (see lock_release.lua)
-- Returns the fence as a decimal string when granted; {milliseconds until the holder's lease ends, or the
--         time for which the lock is kept for another; -1 if the lease has no end; how many wait before this
--         waiter of a fair lock} when refused.
-- Fence: max(last + 1, server time in microseconds). The floor keeps the order when the key is lost to
-- expiry, eviction, FLUSHALL or a restart, as long as the server's clock does not step back.
local lock, fence_key, ended, queue, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, ttl, memory, label = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local waiter, heartbeat, channel, publish = ARGV[5], ARGV[6], ARGV[7], ARGV[8]

-- include holders
-- include waiters

local found = redis.call('MGET', lock, fence_key, ended)
local holder, last = found[1], tonumber(found[2] or '0')
if holder and string.sub(holder, 1, #token + 1) == token .. ' ' then
  redis.call('PEXPIRE', lock, ttl)
  return string.match(holder, ' (%d+) ')
end
if holder and not ours(holder) then
  return redis.error_reply(NOT_OURS)
end
if found[3] then
  return {0, 0}
end
if holder and waiter == '' then
  return {redis.call('PTTL', lock), 0}
end
local now = server_time()

local first, left
if alive then
  local dead = bury(queue, alive, now, heartbeat)
  first = redis.call('ZRANGE', queue, 0, 0)[1]
  if first and not holder and first ~= waiter and dead > 0 then
    call_out(first, channel, publish)
  end
  left = first and first ~= waiter and 0
elseif not holder then
  left = kept(queue, waiter, now)
  left = left > 0 and left
end
if holder or left then
  local before = alive and 1 or 0
  if waiter ~= '' then
    stand_in(queue, waiter, now, heartbeat)
    if alive then
      before = redis.call('ZRANK', queue, waiter)
      keep_alive(alive, waiter, now, heartbeat)
    end
  end
  return {holder and redis.call('PTTL', lock) or left, before}
end

local fence = string.format('%.0f', math.max(last + 1, now))
redis.call('SET', fence_key, fence, 'PX', memory, 'GET') -- GET refuses a key of another type, as MGET does not
local record = {token, fence, string.format('%.0f', now), alive and 'fair' or 'plain', label}
if not redis.call('SET', lock, table.concat(record, ' '), 'PX', ttl, 'NX') then
  return redis.call('GET', lock) -- of another type, which this says
end
if waiter ~= '' then
  leave(queue, alive, waiter)
end
return fence
