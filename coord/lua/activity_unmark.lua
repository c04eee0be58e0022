-- Clear bits of one chunk, and those of the longer periods in which no other part has them set.
--
-- KEYS[1]   finest   the bitmap to clear
-- KEYS[2..] groups   from short to long: the bitmap of a longer period, then those of its parts
-- ARGV[1]   longer   how many longer periods there are
-- ARGV[2..] words    how many parts each of them has; then the offsets
-- Returns nothing of use.
-- A clear bit is left alone, since SETBIT would create the key and make it longer.
local finest, groups = KEYS[1], KEYS
local longer, words = tonumber(ARGV[1]), ARGV

local function clear(bitmap, offset)
  if redis.call('GETBIT', bitmap, offset) == 1 then
    redis.call('SETBIT', bitmap, offset, 0)
  end
end

for at = 2 + longer, #words do
  local offset = words[at]
  clear(finest, offset)
  local whole = 2
  for group = 1, longer do
    local parts = tonumber(words[1 + group])
    local active = false
    for part = whole + 1, whole + parts do
      if redis.call('GETBIT', groups[part], offset) == 1 then
        active = true
        break
      end
    end
    if not active then
      clear(groups[whole], offset)
    end
    whole = whole + parts + 1
  end
end
return 1
