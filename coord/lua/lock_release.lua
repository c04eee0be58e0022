-- Release a lock if this token holds it, wake who waits for it, and remember for a while that the token
-- has ended. The memory makes a repeated release answer like the first, and an acquire of the same token
-- that is still on its way arrive to no effect.
--
-- KEYS[1] lock     hash {token, ...}
-- KEYS[2] ended    string, exists if this token has ended: 1 by a release, 0 without having held
-- KEYS[3] queue    sorted set {waiter: order of arrival}; only for a fair lock (see lock_acquire.lua)
-- KEYS[4] alive    sorted set {waiter: end of its heartbeat}; only for a fair lock
-- ARGV[1] token    the holder
-- ARGV[2] memory   how long to remember it, milliseconds
-- ARGV[3] end      1 to end the token even if it holds nothing (the acquire's outcome is unknown)
-- ARGV[4] channel  where waiters listen; with a queue, what the channel of its first begins with; empty
--                  to tell nobody
-- ARGV[5] waiter   who stood in the queue and no longer does
-- Returns 1 when this token held the lock until this release, 0 when it had lost it.
local lock, ended, queue, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, memory, end_anyway, channel, waiter = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4], ARGV[5]

if queue then
  redis.call('ZREM', queue, waiter)
  redis.call('ZREM', alive, waiter)
end
local holder = redis.call('HGET', lock, 'token')
local released = holder == token
if released then
  redis.call('DEL', lock)
  redis.call('SET', ended, '1', 'PX', memory)
elseif end_anyway then
  redis.call('SET', ended, '0', 'PX', memory, 'NX')
end
if channel ~= '' and queue and (released or not holder) then
  local first = redis.call('ZRANGE', queue, 0, 0)[1]
  if first then
    redis.call('PUBLISH', channel .. ':' .. first, 'free')
  end
elseif channel ~= '' and released then
  redis.call('PUBLISH', channel, 'free')
end
if released then
  return 1
end
return tonumber(redis.call('GET', ended) or '0')
