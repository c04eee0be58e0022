-- Undo permit_admit for somebody who was not told of the grant: give the permit back if this token still holds it, and
-- what it was charged. Otherwise as permit_release with an end: repeated, it gives nothing back again.
--
-- KEYS[1] permits  sorted set {token: end of its lease}; see shared/permits.lua
-- KEYS[2] ended    string, exists if this token has ended: see permit_release.lua
-- KEYS[3] queue    sorted set {waiter: order of arrival}
-- KEYS[4] alive    sorted set {waiter: end of its heartbeat}
-- KEYS[5] charged  string, when this token was charged
-- KEYS[6..] states of the rates: see limit_apply
-- ARGV[1] token    the would-be holder, "token weight label"
-- ARGV[2] memory   how long to remember it, milliseconds
-- ARGV[3] channel  what the channels begin with on which the waiters' homes listen; empty to wake nobody
-- ARGV[4] waiter   who stood in the queue and no longer does; empty for nobody
-- ARGV[5] publish  the command that publishes (see lock_release.lua)
-- ARGV[6..] policies seven words for each rate: see shared/limit_kinds.lua
-- Returns 1 when this token held its permit until now, else 0.
local permits, ended, queue, alive, charged, states = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], {unpack(KEYS, 6)}
local token, memory, channel, waiter, publish = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local words, skipped, end_anyway = ARGV, 5, true

-- include waiters
-- include permits
-- include permit_exit
-- include limit_start
-- include limit_kinds
local paid = redis.call('GET', charged)
local limits = paid and read_limits() or {}
for _, s in ipairs(limits.err and {} or limits) do
  if s.cost > 0 then
    give_back_to(s, s.cost, tonumber(paid))
  end
end
redis.call('DEL', charged)
return was_held
