-- Take a lock, or learn how long its holder's lease still runs.
-- A token that already holds the lock gets the same grant again, with a fresh lease: a lost reply may
-- be asked for once more. A token that was released or given up can never hold the lock again, so an
-- acquire that arrives after its own clean-up does nothing.
-- With a queue the lock is fair: whoever is refused stands in it by arrival here, and only the first may
-- take the lock. A waiter that has not asked again by the end of its heartbeat is taken for dead.
--
-- KEYS[1] lock       hash {token, fence, label, since}, lives as long as the lease
-- KEYS[2] fence      string, the highest fence handed out for this name
-- KEYS[3] ended      string, exists if this token has ended (see lock_release.lua)
-- KEYS[4] queue      sorted set {waiter: order of arrival}; only for a fair lock
-- KEYS[5] alive      sorted set {waiter: end of its heartbeat in microseconds}; only for a fair lock
-- ARGV[1] token      the would-be holder
-- ARGV[2] ttl        lease, milliseconds
-- ARGV[3] memory     how long the fence is remembered when idle, milliseconds
-- ARGV[4] label      what to show people about the holder
-- ARGV[5] waiter     who stands in the queue; empty not to stand in it
-- ARGV[6] heartbeat  how long a waiter counts as alive, milliseconds
-- ARGV[7] channel    where the waiter that follows it listens
-- Returns {fence, ttl, 0} when granted, fence as a decimal string; {"", holder's remaining lease in
--         milliseconds or -1 if it has none, how many wait before this waiter} when refused.
-- Fence: max(last + 1, server time in microseconds). The floor keeps the order when the key is lost to
-- expiry, eviction, FLUSHALL or a restart, as long as the server's clock does not step back.
local lock, fence_key, ended, queue, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, ttl, memory, label = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local waiter, heartbeat, channel = ARGV[5], ARGV[6], ARGV[7]

local holder = redis.call('HGET', lock, 'token')
if holder == token then
  redis.call('PEXPIRE', lock, ttl)
  return {redis.call('HGET', lock, 'fence'), tonumber(ttl), 0}
end
if holder and not queue then
  return {'', redis.call('PTTL', lock), 0}
end
if redis.call('EXISTS', ended) == 1 then
  return {'', 0, 0}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

if queue then
  local dead = redis.call('ZRANGEBYSCORE', alive, '-inf', string.format('%.0f', now), 'LIMIT', 0, 100)
  for _, one in ipairs(dead) do
    redis.call('ZREM', queue, one)
    redis.call('ZREM', alive, one)
  end
  local first = redis.call('ZRANGE', queue, 0, 0)[1]
  if holder or (first and first ~= waiter) then
    local before = redis.call('ZCARD', queue)
    if waiter ~= '' then
      if not redis.call('ZSCORE', queue, waiter) then
        local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
        local order = math.max(now, tonumber(last or '0') + 1)
        redis.call('ZADD', queue, string.format('%.0f', order), waiter)
      end
      before = redis.call('ZRANK', queue, waiter)
      redis.call('ZADD', alive, string.format('%.0f', now + tonumber(heartbeat) * 1000), waiter)
      redis.call('PEXPIRE', queue, 2 * heartbeat)
      redis.call('PEXPIRE', alive, 2 * heartbeat)
    end
    if not holder and #dead > 0 then
      redis.call('PUBLISH', channel .. ':' .. first, 'free')
    end
    return {'', holder and redis.call('PTTL', lock) or 0, before}
  end
  redis.call('ZREM', queue, waiter)
  redis.call('ZREM', alive, waiter)
end

local last = tonumber(redis.call('GET', fence_key) or '0')
local fence = string.format('%.0f', math.max(last + 1, now))
redis.call('SET', fence_key, fence, 'PX', memory)
redis.call('HSET', lock, 'token', token, 'fence', fence, 'label', label, 'since', string.format('%.0f', now))
redis.call('PEXPIRE', lock, ttl)
return {fence, tonumber(ttl), 0}
