-- Look at a lock.
--
-- KEYS[1] lock     string, the holder: "token fence since mode label" (see lock_acquire.lua)
-- KEYS[2] fence    string, the highest fence handed out for this name
-- KEYS[3] broken   string, why the lock was last broken
-- KEYS[4] waiting  sorted set, who waits to be woken
-- KEYS[5] queue    sorted set, who waits for a fair lock
-- Returns {label, fence, microseconds since it was granted, lease left in milliseconds, why it was broken,
--         mode, how many wait}; nil for what there is not, label first if nobody holds the lock.
local lock, fence_key, broken, waiting, queue = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- include holders

local holder = redis.call('GET', lock) or ''
if holder ~= '' and not ours(holder) then
  return redis.error_reply(NOT_OURS)
end
local _, _, since, mode, label = string.find(holder, '^%S+ %d+ (%d+) (%l+) (.*)$')
local age, left = false, false
if label then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  age = string.format('%.0f', math.max(0, now - tonumber(since)))
  left = redis.call('PTTL', lock)
end
local waiters = redis.call('ZCARD', waiting) + redis.call('ZCARD', queue)
local fence, why = redis.call('GET', fence_key), redis.call('GET', broken)
return {label or false, fence, age, left, why, mode or false, waiters}
