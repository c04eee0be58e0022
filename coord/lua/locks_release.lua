-- Release several locks, each if this token holds it, and wake one waiter of each: what lock_release.lua does
-- to one, in one go.
--
-- KEYS[1..3n]   keys      for each lock: the lock, what exists if this token has ended, its queue
-- ARGV[1] token   the holder
-- ARGV[2] memory  how long to remember that it has ended, milliseconds
-- ARGV[3] end     1 to end the token even where it holds nothing (the acquire's outcome is unknown)
-- ARGV[4] waiter  who stood in a queue and no longer does, as "home:waiter"; empty for nobody
-- ARGV[5..n+4]  channels  for each lock what the channels begin with on which the waiters' homes listen;
--                         empty to wake nobody
-- Returns 1 when this token held all of them until this release, 0 when it had lost any.
local keys, words = KEYS, ARGV
local token, memory, end_anyway, waiter = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]

-- include waiters

local mark = string.format('%s ', token)

local holders, all_held = {}, 1
for i = 1, #keys, 3 do
  holders[i] = redis.call('GET', keys[i])
  local held = holders[i] and string.sub(holders[i], 1, #mark) == mark
  if not held and redis.call('GET', keys[i + 1]) ~= '1' then
    all_held = 0
  end
end
for i = 1, #keys, 3 do
  local lock, ended, queue, channel = keys[i], keys[i + 1], keys[i + 2], words[(i + 2) / 3 + 4]
  local held = holders[i] and string.sub(holders[i], 1, #mark) == mark
  if waiter ~= '' then
    redis.call('ZREM', queue, waiter)
  end
  if held then
    redis.call('DEL', lock)
    redis.call('SET', ended, '1', 'PX', memory)
  elseif end_anyway then
    redis.call('SET', ended, '0', 'PX', memory, 'NX')
  end
  if channel ~= '' and (held or not holders[i]) then
    wake_one(queue, channel, 'PUBLISH')
  end
end
return all_held
