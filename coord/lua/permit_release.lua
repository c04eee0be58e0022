-- Give a permit back if this token holds one, wake those there is room for then, and remember for a while
-- that the token has ended. The memory makes a repeated release answer like the first, and an acquire of the
-- same token that is still on its way arrive to no effect.
--
-- KEYS[1] permits  sorted set {token: end of its lease}; see shared/permits.lua
-- KEYS[2] ended    string, exists if this token has ended: 1 by a release, 0 without having held
-- KEYS[3] queue    sorted set {waiter: order of arrival, or until when room is kept for it}
-- KEYS[4] alive    sorted set {waiter: end of its heartbeat}; only for a fair limit
-- ARGV[1] token    the holder, "token weight label"
-- ARGV[2] memory   how long to remember it, milliseconds
-- ARGV[3] end      1 to end the token even if it holds nothing (the acquire's outcome is unknown)
-- ARGV[4] channel  what the channels begin with on which the waiters' homes listen; empty to wake nobody
-- ARGV[5] waiter   who stood in the queue and no longer does; empty for nobody
-- ARGV[6] publish  the command that publishes (see lock_release.lua)
-- Returns 1 when this token held its permit until this release, 0 when it had lost it.
local permits, ended, queue, alive = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, memory, end_anyway, channel, waiter = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4], ARGV[5]
local publish = ARGV[6]

-- include waiters
-- include permits
-- include permit_exit
return was_held
