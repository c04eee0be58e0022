-- Take all permits from whoever holds them, and wake those there is room for then.
--
-- KEYS[1] permits  sorted set {token: end of its lease}; see shared/permits.lua
-- KEYS[2] queue    sorted set, who waits to be woken
-- KEYS[3] line     sorted set, who waits at a fair limit
-- ARGV[1] channel  what the channels begin with on which the waiters' homes listen
-- ARGV[2] publish  the command that publishes (see lock_release.lua)
-- Returns how much was used.
local permits, queue, line = KEYS[1], KEYS[2], KEYS[3]
local channel, publish = ARGV[1], ARGV[2]

-- include waiters
-- include permits

local now = server_time()
local used = in_use(permits, now)
redis.call('DEL', permits)
wake(queue, false, channel, publish, 0, now)
wake(line, true, channel, publish, 0, now)
return used
