-- Look at a lock.
--
-- KEYS[1] lock    string, the holder: "token fence since label" (see lock_acquire.lua)
-- KEYS[2] fence   string, the highest fence handed out for this name
-- KEYS[3] broken  string, why the lock was last broken
-- Returns {label, fence, microseconds since it was granted, lease left in milliseconds, why it was broken};
--         nil for what there is not, label first if nobody holds the lock.
local lock, fence_key, broken = KEYS[1], KEYS[2], KEYS[3]

local _, _, since, label = string.find(redis.call('GET', lock) or '', '^%S+ %d+ (%d+) (.*)$')
local age, left = false, false
if label then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  age = string.format('%.0f', math.max(0, now - tonumber(since)))
  left = redis.call('PTTL', lock)
end
return {label or false, redis.call('GET', fence_key), age, left, redis.call('GET', broken)}
