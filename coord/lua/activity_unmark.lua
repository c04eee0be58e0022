-- Clear bits of one chunk, and those of the longer periods in which no other part has them set.
--
-- KEYS[1]   finest   the bitmap to clear
-- KEYS[2..] groups   from short to long: the bitmap of a longer period, then those of its parts
-- ARGV[1]   longer   how many longer periods there are
-- ARGV[2..] words    how many parts each of them has; then the offsets
-- Returns nothing of use.
-- A clear bit is left alone, since to write it would create the key and make it longer.
-- include bits
local finest, groups = KEYS[1], KEYS
local longer, words = tonumber(ARGV[1]), ARGV
local offsets = {unpack(words, 2 + longer)}

local function clear(bitmap, several)
  if #several > 0 then
    redis.call('BITFIELD', bitmap, unpack(each(several, 'SET', 0)))
  end
end

clear(finest, chosen(finest, offsets, 1))
local whole = 2
for group = 1, longer do
  local parts = tonumber(words[1 + group])
  local left = chosen(groups[whole], offsets, 1)
  for part = whole + 1, whole + parts do
    left = chosen(groups[part], left, 0)
  end
  clear(groups[whole], left)
  whole = whole + parts + 1
end
return 1
