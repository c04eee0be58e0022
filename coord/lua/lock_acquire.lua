-- Take a lock, or learn how long its holder's lease still runs.
-- A token that already holds the lock gets the same grant again, with a fresh lease: a lost reply may
-- be asked for once more. A token that was released or given up can never hold the lock again, so an
-- acquire that arrives after its own clean-up does nothing.
--
-- KEYS[1] lock    hash {token, fence, label, since}, lives as long as the lease
-- KEYS[2] fence   string, the highest fence handed out for this name
-- KEYS[3] ended   string, exists if this token has ended (see lock_release.lua)
-- ARGV[1] token   the would-be holder
-- ARGV[2] ttl     lease, milliseconds
-- ARGV[3] memory  how long the fence is remembered when idle, milliseconds
-- ARGV[4] label   what to show people about the holder
-- Returns {fence, ttl} when granted, fence as a decimal string;
--         {"", holder's remaining lease in milliseconds, -1 if it has none} when refused.
-- Fence: max(last + 1, server time in microseconds). The floor keeps the order when the key is lost to
-- expiry, eviction, FLUSHALL or a restart, as long as the server's clock does not step back.
local lock, fence_key, ended = KEYS[1], KEYS[2], KEYS[3]
local token, ttl, memory, label = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local holder = redis.call('HGET', lock, 'token')
if holder == token then
  redis.call('PEXPIRE', lock, ttl)
  return {redis.call('HGET', lock, 'fence'), tonumber(ttl)}
end
if holder then
  return {'', redis.call('PTTL', lock)}
end
if redis.call('EXISTS', ended) == 1 then
  return {'', 0}
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('GET', fence_key) or '0')
local fence = string.format('%.0f', math.max(last + 1, now))
redis.call('SET', fence_key, fence, 'PX', memory)
redis.call('HSET', lock, 'token', token, 'fence', fence, 'label', label, 'since', string.format('%.0f', now))
redis.call('PEXPIRE', lock, ttl)
return {fence, tonumber(ttl)}
