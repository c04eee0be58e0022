-- Admit a call if the calls of the last window leave room for it: an exact log of what was admitted.
-- A denied call writes nothing, unless the clock has stepped back: then entries from the future are
-- dated now, or they would not age until the clock had caught up.
--
-- KEYS[1] log     list: the sum of all costs in it, then time and cost of each entry, oldest first
-- ARGV[1] limit   the most that any window may hold
-- ARGV[2] window  microseconds
-- ARGV[3] cost    what this call counts for; 0 to look only
-- Returns {allowed 1 or 0, remaining, microseconds until allowed, microseconds until nothing is left}.
-- TTL: one window after the newest entry.
local log = KEYS[1]
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local SLICE = 128 -- list elements read at a time: 64 entries

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local sum = tonumber(redis.call('LINDEX', log, 0) or '0')
local newest = tonumber(redis.call('LINDEX', log, -2) or '0')

if newest > now and cost > 0 then
  local at = redis.call('LLEN', log) - 2
  while at > 0 and tonumber(redis.call('LINDEX', log, at)) > now do
    redis.call('LSET', log, at, string.format('%.0f', now))
    at = at - 2
  end
  redis.call('PEXPIRE', log, math.ceil(window / 1000))
end

-- From the oldest on: forget what has left the window, then find whose leaving would make room.
local expired, freed, wait, at = 0, 0, nil, 1
local allowed = sum + cost <= limit
repeat
  local slice = redis.call('LRANGE', log, at, at + SLICE - 1)
  at = at + SLICE
  local done = #slice == 0
  for i = 1, #slice, 2 do
    local age = now - math.min(tonumber(slice[i]), now)
    if age >= window then
      expired = expired + 1
      sum = sum - tonumber(slice[i + 1])
      allowed = sum + cost <= limit
    elseif allowed then
      done = true
      break
    else
      freed = freed + tonumber(slice[i + 1])
      if sum - freed + cost <= limit then
        wait, done = window - age, true
        break
      end
    end
  end
until done

if allowed and cost > 0 then
  redis.call('LPOP', log, 1 + 2 * expired)
  sum = sum + cost
  redis.call('RPUSH', log, string.format('%.0f', now), string.format('%.0f', cost))
  redis.call('LPUSH', log, string.format('%.0f', sum))
  redis.call('PEXPIRE', log, math.ceil(window / 1000))
  newest = now
end
local empty = sum > 0 and math.min(newest, now) + window - now or 0
return {allowed and 1 or 0, limit - sum, allowed and 0 or wait, empty}
