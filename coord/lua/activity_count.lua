-- Count the bits of several chunks.
--
-- KEYS[1..n] bitmaps  the chunks
-- Returns how many bits are set in all of them together.
local bitmaps = KEYS

local total = 0
for _, bitmap in ipairs(bitmaps) do
  total = total + redis.call('BITCOUNT', bitmap)
end
return total
