-- Take tokens from a bucket that refills steadily, or learn when they will be there (GCRA, in integers).
-- The state is the deficit: how much was missing from a full bucket when it was last written. It is
-- counted in ticks, of which `rate` pass each microsecond and `token` make one token, so that no
-- fraction is ever rounded. A denied call writes nothing, unless the clock has stepped back: then the
-- state is dated anew, or the bucket would not refill until the clock had caught up.
--
-- KEYS[1] bucket    string "written:deficit" or "written:deficit:rate", written in microseconds
-- ARGV[1] rate      ticks a microsecond
-- ARGV[2] token     ticks a token
-- ARGV[3] capacity  ticks in a full bucket; below 2^52
-- ARGV[4] cost      tokens to take; 0 to look only
-- Returns an error, WRONGTYPE, if the string is not one of ours; else
--         {allowed 1 or 0, tokens remaining, microseconds until allowed, microseconds until full}.
-- TTL: the time until the bucket is full, since a full one need not be remembered.
local bucket = KEYS[1]
local rate, token = tonumber(ARGV[1]), tonumber(ARGV[2])
local capacity, cost = tonumber(ARGV[3]), tonumber(ARGV[4])

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local deficit, stepped_back = 0, false
local state = redis.call('GET', bucket)
if state then
  local written, missing, unit = string.match(state, '^(%d+):(%d+):?(%d*)$')
  if not written then
    return redis.error_reply('WRONGTYPE this string is not the state of a bucket')
  end
  written, deficit, unit = tonumber(written), tonumber(missing), tonumber(unit) or 1
  if unit ~= rate then
    -- Written under another policy. Time to full is what carries over, rounded up.
    local until_full = math.ceil(deficit / unit)
    deficit = until_full > capacity / rate and capacity or until_full * rate
  end
  stepped_back = written > now
  local elapsed = math.max(0, now - written)
  deficit = elapsed >= deficit / rate and 0 or deficit - elapsed * rate
  deficit = math.min(deficit, capacity)
end

local needed = cost * token
local allowed = deficit + needed <= capacity
local wait = 0
if allowed then
  deficit = deficit + needed
else
  wait = math.ceil((deficit + needed - capacity) / rate)
end
local full = math.ceil(deficit / rate)
if cost > 0 and (allowed or stepped_back) then
  local value = string.format('%.0f:%.0f', now, deficit)
  if rate ~= 1 then
    value = value .. string.format(':%.0f', rate)
  end
  redis.call('SET', bucket, value, 'PX', math.max(1, math.ceil(full / 1000)))
end
return {allowed and 1 or 0, math.floor((capacity - deficit) / token), wait, full}
