-- Take several locks, or none of them. Keys and rules are those of one lock: see lock_acquire.lua. Who is
-- refused may stand in the queue of the lock that refused, the first in the order of KEYS.
--
-- KEYS[1..4n]    keys    for each lock: the lock, its fence, what exists if this token has ended, its queue
-- ARGV[1] token   the would-be holder
-- ARGV[2] ttl     lease, milliseconds
-- ARGV[3] memory  how long a fence is remembered when idle, milliseconds
-- ARGV[4] label   what to show people about the holder
-- ARGV[5] waiter  who stands in the queue, as "home:waiter"; empty not to stand in it
-- ARGV[6] beat    how long a waiter is thought to wait on, milliseconds
-- Returns the fence as a decimal string when granted; {the holder's remaining lease in milliseconds or -1 if
--         it has none, how many come before the lock that refused} when refused.
-- Fence: one for all, greater than the last of each.
local keys = KEYS
local token, ttl, memory, label, waiter, beat = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

-- include holders
-- include waiters

local now = server_time()
local mark = string.format('%s ', token)

local holders = {}
for i = 1, #keys, 4 do
  holders[i] = redis.call('GET', keys[i])
  if holders[i] and not ours(holders[i]) then
    return redis.error_reply(NOT_OURS)
  end
end

local last, mine, granted = 0, 0, nil
for i = 1, #keys, 4 do
  local holder = holders[i]
  if holder and string.sub(holder, 1, #mark) == mark then
    mine, granted = mine + 1, string.match(holder, ' (%d+) ')
  elseif redis.call('EXISTS', keys[i + 2]) == 1 then
    return {0, (i - 1) / 4}
  else
    local left = holder and redis.call('PTTL', keys[i]) or kept(keys[i + 3], waiter, now)
    if holder or left > 0 then
      if waiter ~= '' then
        stand_in(keys[i + 3], waiter, now, beat)
      end
      return {left, (i - 1) / 4}
    end
  end
  last = math.max(last, tonumber(redis.call('GET', keys[i + 1]) or '0'))
end
if mine == #keys / 4 then
  for i = 1, #keys, 4 do
    redis.call('PEXPIRE', keys[i], ttl)
  end
  return granted
end

local fence = string.format('%.0f', math.max(last + 1, now))
local holder = table.concat({token, fence, string.format('%.0f', now), 'several', label}, ' ')
for i = 1, #keys, 4 do
  redis.call('SET', keys[i + 1], fence, 'PX', memory)
  redis.call('SET', keys[i], holder, 'PX', ttl)
  if waiter ~= '' then
    redis.call('ZREM', keys[i + 3], waiter)
  end
end
return fence
