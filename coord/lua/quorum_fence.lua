-- Raise the fence of a lock to the one that a quorum of servers agreed on, if this server's grant still
-- stands. Tell as well which run of the server says so: one that has just started may have forgotten the
-- lock of another, and its word must not count.
--
-- KEYS[1] lock     string, the holder: "token fence since mode label" (see lock_acquire.lua)
-- KEYS[2] fence    string, the highest fence handed out for this name
-- ARGV[1] token    the holder
-- ARGV[2] granted  the fence that this server granted to it
-- ARGV[3] agreed   the fence to raise to
-- ARGV[4] memory   how long the fence is remembered when idle, milliseconds
-- Returns {1 if the grant stands, 0 if not; the server's run_id; its uptime in seconds};
--         "" and -1 where the server does not tell.
local lock, fence_key = KEYS[1], KEYS[2]
local token, granted, agreed, memory = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local stands = 0
local holder = redis.call('GET', lock) or ''
local grant = token .. ' ' .. granted .. ' '
if string.sub(holder, 1, #grant) == grant then
  stands = 1
  if tonumber(agreed) > tonumber(redis.call('GET', fence_key) or '0') then
    redis.call('SET', fence_key, agreed, 'PX', memory)
  end
end
local info = redis.pcall('INFO', 'server')
if type(info) ~= 'string' then
  return {stands, '', -1}
end
return {
  stands,
  string.match(info, 'run_id:(%w+)') or '',
  tonumber(string.match(info, 'uptime_in_seconds:(%d+)') or '-1'),
}
