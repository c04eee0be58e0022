-- Read the same bit of several chunks.
--
-- KEYS[1..n] bitmaps  the chunks
-- ARGV[1]    offset   which bit
-- Returns for each whether it is set, 1 or 0.
local bitmaps = KEYS
local offset = ARGV[1]

local set = {}
for i, bitmap in ipairs(bitmaps) do
  set[i] = redis.call('GETBIT', bitmap, offset)
end
return set
