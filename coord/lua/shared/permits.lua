-- What the scripts of a concurrency limit share: who holds permits, and which waiters there is room for.
--
-- The permits are one sorted set: {"token weight label": end of its lease in microseconds}, and beside them
-- "used", the sum of the weights, and "clock", when that was written, negative. So both come before every
-- lease. A waiter is "home:who.weight.limit": whether there is room for it is decided by its own limit.
local LEASES = 1000000000 -- a score: above every sum of weights, below every lease (which ended in 1970)
local STEP = 1000 -- microseconds by which the clock may step back unnoticed: a millisecond, which leases are given in
local CALLED = 100 -- the most waiters that one call wakes, to be short: who comes in then wakes more
local PASSED = 16 -- the most that it passes over, since there is no room for them: a walk, were all too heavy

local function digits(number)
  return string.format('%.0f', number)
end

local function weight_of(token)
  return tonumber(string.match(token, '^%S+ (%d+)'))
end

-- Let the key live as long as the longest lease.
local function expire(permits, now)
  local longest = redis.call('ZRANGE', permits, -1, -1, 'WITHSCORES')[2]
  redis.call('PEXPIRE', permits, math.max(1, math.ceil((tonumber(longest) - now) / 1000)) + 1)
end

-- Write how much is used.
local function keep(permits, used, now)
  if used > 0 then
    redis.call('ZADD', permits, digits(used), 'used', digits(-now), 'clock')
    expire(permits, now)
  else
    redis.call('DEL', permits)
  end
end

-- Start the lease of a permit anew, or for the first time; `used` counts it already.
local function lend(permits, token, ttl, used, now)
  redis.call('ZADD', permits, digits(used), 'used', digits(-now), 'clock', digits(now + ttl * 1000), token)
  expire(permits, now)
end

-- Let the permits end whose leases are over; return how much the others use. If the clock has stepped back,
-- each lease keeps what was left of it when last something was written.
local function in_use(permits, now)
  local found = redis.call('ZMSCORE', permits, 'used', 'clock')
  local used, step = tonumber(found[1] or 0), -tonumber(found[2] or 0) - now
  if step > STEP then
    local leases = redis.call('ZRANGEBYSCORE', permits, digits(LEASES), '+inf', 'WITHSCORES')
    for i = 1, #leases, 2 do
      redis.call('ZADD', permits, digits(tonumber(leases[i + 1]) - step), leases[i])
    end
    keep(permits, used, now)
  end
  local over = redis.call('ZRANGEBYSCORE', permits, digits(LEASES), digits(now))
  if #over > 0 then
    for _, token in ipairs(over) do
      used = used - weight_of(token)
    end
    redis.call('ZREMRANGEBYSCORE', permits, digits(LEASES), digits(now))
    keep(permits, used, now)
  end
  return used
end

-- Let a permit end, if its lease is not over yet; return whether it did, and how much is used then.
local function give_back(permits, token, used, now)
  if redis.call('ZREM', permits, token) == 0 then
    return false, used
  end
  keep(permits, used - weight_of(token), now)
  return true, used - weight_of(token)
end

local function wants(waiter)
  local weight, limit = string.match(waiter, '%.(%d+)%.(%d+)$')
  return tonumber(weight or 1), tonumber(limit or 1)
end

-- How much room is kept for others who were woken.
local function kept_for_others(queue, waiter, now)
  local sum = 0
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', queue, digits(-now - KEPT), string.format('(%.0f', -now))) do
    sum = sum + (one ~= waiter and wants(one) or 0)
  end
  return sum
end

-- How much those want who stand before this waiter of a fair queue, or before whoever does not stand in it;
-- more than `most` is not counted on.
local function wanted_before(queue, waiter, most)
  local rank = redis.call('ZRANK', queue, waiter) or redis.call('ZCARD', queue)
  if rank > most then
    return rank
  end
  local sum = 0
  for _, one in ipairs(rank > 0 and redis.call('ZRANGE', queue, 0, rank - 1) or {}) do
    sum = sum + wants(one)
  end
  return sum
end

-- Wake the waiters that there is room for, in their order: of a fair queue the first of them and no others;
-- of any other those whom there is room for, which is kept for them for a moment.
local function wake(queue, fair, channel, publish, used, now)
  if channel == '' or redis.call('EXISTS', queue) == 0 then
    return
  end
  if not fair then
    redis.call('ZREMRANGEBYSCORE', queue, digits(-now), '(0')
    redis.call('ZREMRANGEBYSCORE', queue, '-inf', string.format('(%.0f', -now - KEPT))
    used = used + kept_for_others(queue, '', now)
  end
  local passed = 0
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', queue, '0', '+inf', 'LIMIT', 0, CALLED)) do
    local weight, limit = wants(one)
    if used + weight <= limit then
      local heard = call_out(one, channel, publish) > 0
      if heard and not fair then
        redis.call('ZADD', queue, digits(-now - KEPT), one)
      elseif not fair then
        redis.call('ZREM', queue, one) -- its home is gone
      end
      used = used + ((heard or fair) and weight or 0)
    elseif fair or passed == PASSED then
      return
    else
      passed = passed + 1
    end
  end
end
