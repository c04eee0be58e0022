-- What both ways to a permit share: whether there is room for it, and what becomes of who asks.
--
-- The lines find `permits`, `ended`, `queue`, `alive`, `token`, `ttl`, `limit`, `waiter`, `heartbeat`, `channel` and
-- `publish` in locals; permit_acquire says what they are.
local now = server_time()
local used, weight = in_use(permits, now), weight_of(token)
local mine = redis.call('ZSCORE', permits, token)
local over = not mine and redis.call('EXISTS', ended) == 1
local before = 0
if not mine and not over and alive then
  bury(queue, alive, now, heartbeat)
  before = wanted_before(queue, waiter, limit - used)
elseif not mine and not over then
  before = kept_for_others(queue, waiter, now)
end
local room = mine or used + before + weight <= limit

local function wait_in_line()
  if waiter ~= '' then
    stand_in(queue, waiter, now, heartbeat)
    if alive then
      keep_alive(alive, waiter, now, heartbeat)
    end
  end
end

-- Milliseconds until there may be room for it without anybody's doing: a lease ends, or room is no longer kept.
local function until_room()
  local first = redis.call('ZRANGEBYSCORE', permits, digits(LEASES), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  return math.ceil((used + weight > limit and first and tonumber(first) - now or KEPT) / 1000)
end

local function enter()
  used = mine and used or used + weight
  lend(permits, token, ttl, used, now)
  if waiter ~= '' then
    leave(queue, alive, waiter)
  end
  wake(queue, alive, channel, publish, used, now)
end

