-- Whether a value is one that a lock keeps: "token fence since mode label".
local function ours(holder)
  return string.find(holder, '^%S+ %d+ %d+ %l+ ')
end

local NOT_OURS = 'WRONGTYPE this value is not the holder of a lock'

