-- Unite the periods that make up a longer one which is over, for many reads.
-- A roll-up is always equal to the union of its periods: unique_add.lua and unique_restore.lua remove it
-- when they change one of them, and it expires when the first of them does.
--
-- KEYS[1]     whole  the roll-up: a set of hashes or a HyperLogLog; an empty one if there is nothing
-- KEYS[2..n]  parts  its periods
-- ARGV[1]     limit  the most hashes that it holds exactly
-- ARGV[2]     idle   how long the roll-up of nothing is kept, milliseconds
-- Returns nothing of use.
-- TTL: the shortest of the periods'.
local whole, parts = KEYS[1], {unpack(KEYS, 2)}
local limit, ttl = tonumber(ARGV[1]), tonumber(ARGV[2])
local SLICE = 4000 -- ids a command: unpack() takes no more than about 8000

local sets, sketches, shortest = {}, {}, nil
for _, part in ipairs(parts) do
  local kind = redis.call('TYPE', part).ok
  local left = redis.call('PTTL', part)
  if kind == 'set' and redis.call('SCARD', part) <= limit then
    sets[#sets + 1] = part
  elseif kind == 'set' or kind == 'string' then
    sketches[#sketches + 1] = part
  elseif kind ~= 'none' then
    return redis.error_reply('WRONGTYPE neither hashes nor a HyperLogLog')
  end
  if left > 0 and left < (shortest or left + 1) then
    shortest = left
  end
end

redis.call('DEL', whole)
local hashes = #sets > 0 and redis.call('SUNION', unpack(sets)) or {}
if #sketches == 0 and #hashes > 0 and #hashes <= limit then
  redis.call('SADD', whole, unpack(hashes))
else
  redis.call('PFADD', whole)
  if #sketches > 0 then
    redis.call('PFMERGE', whole, unpack(sketches))
  end
  for at = 1, #hashes, SLICE do
    redis.call('PFADD', whole, unpack(hashes, at, math.min(at + SLICE - 1, #hashes)))
  end
end
redis.call('PEXPIRE', whole, string.format('%.0f', shortest or ttl))
return 1
