-- What both ways to give a permit back share. The lines find `permits`, `ended`, `queue`, `alive`, `token`, `memory`,
-- `end_anyway`, `channel`, `waiter` and `publish` in locals; permit_release says what they are.
local now = server_time()
if waiter ~= '' then
  leave(queue, alive, waiter)
end
local released, used = give_back(permits, token, in_use(permits, now), now)
if released then
  redis.call('SET', ended, '1', 'PX', memory)
elseif end_anyway then
  redis.call('SET', ended, '0', 'PX', memory, 'NX')
end
wake(queue, alive, channel, publish, used, now)
local was_held = released and 1 or tonumber(redis.call('GET', ended) or '0')

