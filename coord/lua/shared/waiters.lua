-- What the scripts of locks and permits share: who waits, and who is woken.
--
-- Whoever waits stands in a sorted set {waiter: order of arrival}, as "home:waiter": its home is where it
-- listens. Who is woken stands there with the moment until which the free lock is kept for it, in microseconds
-- and negative. Otherwise the one that released it, and asks again at once, would have it time and again.
local KEPT = 50000 -- microseconds: a wake-up and a request over any network, with an event loop that is late

local function server_time()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Stand in the queue, at its end if this waiter does not yet, or was woken to no use.
local function stand_in(queue, waiter, now, heartbeat)
  local order = redis.call('ZSCORE', queue, waiter)
  if not order or tonumber(order) < 0 then
    local latest = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2] or '0'
    redis.call('ZADD', queue, string.format('%.0f', math.max(now, tonumber(latest) + 1)), waiter)
  end
  redis.call('PEXPIRE', queue, 2 * heartbeat)
end

-- Stand in the queue no longer.
local function leave(queue, alive, waiter)
  redis.call('ZREM', queue, waiter)
  if alive then
    redis.call('ZREM', alive, waiter)
  end
end

-- Give a waiter of a fair queue another heartbeat.
local function keep_alive(alive, waiter, now, heartbeat)
  redis.call('ZADD', alive, string.format('%.0f', now + heartbeat * 1000), waiter)
  redis.call('PEXPIRE', alive, 2 * heartbeat)
end

-- Take those whose heartbeat has ended out of a fair queue; return how many. One that ends later than any
-- can was set before the clock stepped back, and begins anew.
local function bury(queue, alive, now, heartbeat)
  local latest = string.format('(%.0f', now + heartbeat * 1000)
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', alive, latest, '+inf')) do
    keep_alive(alive, one, now, heartbeat)
  end
  local dead = redis.call('ZRANGEBYSCORE', alive, '-inf', string.format('%.0f', now), 'LIMIT', 0, 100) -- a fraction of a millisecond
  for _, one in ipairs(dead) do
    leave(queue, alive, one)
  end
  return #dead
end

-- For how many more milliseconds a free lock is kept for somebody else who was woken. If it were for longer
-- than it ever is, the clock has stepped back.
local function kept(queue, waiter, now)
  local first = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
  local left = -tonumber(first[2] or '0') - now
  return left > 0 and left <= KEPT and first[1] ~= waiter and math.ceil(left / 1000) or 0
end

-- Tell a waiter to look; return how many heard it.
local function call_out(waiter, channel, publish)
  local home, who = string.match(waiter, '^(.-):(.+)$')
  local heard = redis.pcall(publish, channel .. ':' .. home, who)
  return type(heard) == 'number' and heard or redis.call('PUBLISH', channel .. ':' .. home, who)
end

-- Wake the first whose home still listens, and keep the lock for it; those whose home is gone leave.
local function wake_one(queue, channel, publish)
  redis.call('ZREMRANGEBYSCORE', queue, '-inf', '(0')
  local first = redis.call('ZRANGE', queue, 0, 0)[1]
  while first do
    if call_out(first, channel, publish) > 0 then
      redis.call('ZADD', queue, string.format('%.0f', -server_time() - KEPT), first)
      return
    end
    redis.call('ZREM', queue, first)
    first = redis.call('ZRANGE', queue, 0, 0)[1]
  end
end
