-- Release a lock if this token holds it, wake one who waits for it, and remember for a while that the token
-- has ended. The memory makes a repeated release answer like the first, and an acquire of the same token
-- that is still on its way arrive to no effect.
-- The first in the queue is woken, one among all processes, and the lock kept for it for a moment (see
-- shared/waiters.lua). In a fair lock's queue it keeps its place until it is granted or dead.
--
-- KEYS[1] lock     string, the holder: "token fence since mode label" (see lock_acquire.lua)
-- KEYS[2] ended    string, exists if this token has ended: 1 by a release, 0 without having held
-- KEYS[3] queue    sorted set {waiter: order of arrival, or until when the lock is kept for it}
-- KEYS[4] alive    sorted set {waiter: end of its heartbeat}; only for a fair lock
-- ARGV[1] token    the holder
-- ARGV[2] memory   how long to remember it, milliseconds
-- ARGV[3] end      1 to end the token even if it holds nothing (the acquire's outcome is unknown)
-- ARGV[4] channel  what the channels begin with on which the waiters' homes listen; empty to wake nobody
-- ARGV[5] waiter   who stood in the queue and no longer does, as "home:waiter"; empty for nobody
-- ARGV[6] publish  PUBLISH, or SPUBLISH on a cluster; where that is not known or not allowed, it is PUBLISH,
--                  and homes that could not SSUBSCRIBE there have subscribed to that
-- Returns 1 when this token held the lock until this release, 0 when it had lost it.
local lock, ended, queue, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, memory, end_anyway, channel, waiter = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4], ARGV[5]
local publish = ARGV[6]
-- include waiters

if waiter ~= '' then
  leave(queue, alive, waiter)
end
local holder = redis.call('GET', lock)
local released = holder and string.sub(holder, 1, #token + 1) == token .. ' '
if released then
  redis.call('DEL', lock)
  redis.call('SET', ended, '1', 'PX', memory)
elseif end_anyway then
  redis.call('SET', ended, '0', 'PX', memory, 'NX')
end

if channel ~= '' and (released or not holder) and redis.call('EXISTS', queue) == 1 then
  if alive then
    call_out(redis.call('ZRANGE', queue, 0, 0)[1], channel, publish)
  else
    wake_one(queue, channel, publish)
  end
end
if released then
  return 1
end
return tonumber(redis.call('GET', ended) or '0')
