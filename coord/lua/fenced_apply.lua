-- Read, set or delete a value on behalf of a lease, unless a later lease has been here.
-- Each call leaves its fence, a read too: nobody earlier can then change what the reader has read. A value
-- that is deleted or has ended leaves its fence behind for a while.
-- One writer numbers its writes. One that arrives after a later one of the same writer and fence, because
-- it was sent twice or held up, does nothing: it was overwritten before it came.
--
-- KEYS[1] fenced  hash {fence, value, until, writer, turn}; without TTL while it has a value without an end
-- ARGV[1] action  status (which asks for no fence, and leaves none), get, set or delete
-- ARGV[2] fence   the lease's
-- ARGV[3] memory  how long the fence is remembered without a value, milliseconds
-- ARGV[4] value   what to set
-- ARGV[5] ttl     how long the value lives, milliseconds; 0 for ever
-- ARGV[6] writer  who writes
-- ARGV[7] turn    the number of the write, among those of its writer
-- Returns {1 if done, 0 if a later lease has been here; the highest fence seen as a decimal string, or nil;
--         the value, or nil}.
local fenced = KEYS[1]
local action, fence, memory, value, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local writer, turn = ARGV[6], ARGV[7]

local stored = redis.call('HMGET', fenced, 'fence', 'value', 'until', 'writer', 'turn')
local highest, current, ends = stored[1], stored[2], tonumber(stored[3] or '0')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
if ends > 0 and ends <= now then
  current, ends = false, 0
end

if action == 'status' then
  return {1, highest, current}
end
local ahead = tonumber(fence) - tonumber(highest or '0')
if ahead < 0 then
  return {0, highest, false}
end
if action == 'get' then
  if ahead == 0 then
    return {1, fence, current}
  end
elseif ahead == 0 and writer == stored[4] and tonumber(turn) <= tonumber(stored[5]) then
  return {1, fence, false}
else
  current = action == 'set' and value
  ends = action == 'set' and ttl > 0 and now + ttl * 1000 or 0
  redis.call('HSET', fenced, 'writer', writer, 'turn', turn)
end

redis.call('HSET', fenced, 'fence', fence)
if current then
  redis.call('HSET', fenced, 'value', current)
else
  redis.call('HDEL', fenced, 'value')
end
if ends > 0 then
  redis.call('HSET', fenced, 'until', string.format('%.0f', ends))
else
  redis.call('HDEL', fenced, 'until')
end
if current and ends == 0 then
  redis.call('PERSIST', fenced)
else
  local left = math.max(0, math.ceil((ends - now) / 1000))
  redis.call('PEXPIRE', fenced, string.format('%.0f', left + memory))
end
return {1, fence, current}
