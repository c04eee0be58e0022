-- Release a lock if this token holds it, wake those who wait for it, and remember for a while that the
-- token has ended. The memory makes a repeated release answer like the first, and an acquire of the
-- same token that is still on its way arrive to no effect.
--
-- KEYS[1] lock    hash {token, ...}
-- KEYS[2] ended   string, exists if this token has ended: 1 by a release, 0 without having held
-- ARGV[1] token   the holder
-- ARGV[2] memory  how long to remember it, milliseconds
-- ARGV[3] end     1 to end the token even if it holds nothing (the acquire's outcome is unknown)
-- ARGV[4] channel where waiters listen; empty to tell nobody
-- Returns 1 when this token held the lock until this release, 0 when it had lost it.
local lock, ended = KEYS[1], KEYS[2]
local token, memory, end_anyway, channel = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]

if redis.call('HGET', lock, 'token') == token then
  redis.call('DEL', lock)
  redis.call('SET', ended, '1', 'PX', memory)
  if channel ~= '' then
    redis.call('PUBLISH', channel, 'free')
  end
elseif end_anyway then
  redis.call('SET', ended, '0', 'PX', memory, 'NX')
end
return tonumber(redis.call('GET', ended) or '0')
