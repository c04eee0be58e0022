-- Count the numbers that are marked in every one of several bitmaps.
--
-- KEYS[1]     scratch  a key of the same slot; does not exist before or after
-- KEYS[2..n]  bitmaps  what to intersect
-- Returns how many bits are set in all of them.
local scratch = KEYS[1]
local bitmaps = {unpack(KEYS, 2)}

redis.call('BITOP', 'AND', scratch, unpack(bitmaps))
local common = redis.call('BITCOUNT', scratch)
redis.call('DEL', scratch)
return common
