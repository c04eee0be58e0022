-- Tell which text ids have the given numbers.
--
-- KEYS[1] numbers  sorted set {text id: its number}; see activity_mark.lua
-- ARGV[1..] wanted  the numbers
-- Returns the ids, in order; nothing for a number that nobody has.
local numbers = KEYS[1]
local wanted = ARGV

local ids = {}
for i, number in ipairs(wanted) do
  ids[i] = redis.call('ZRANGEBYSCORE', numbers, number, number)[1] or ''
end
return ids
