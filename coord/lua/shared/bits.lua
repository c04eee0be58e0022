-- What the scripts of an activity share: how they deal with several bits of one bitmap in one command.

-- The operands of a BITFIELD that does the same with each of some bits.
local function each(offsets, verb, value)
  local operands, width = {}, value and 4 or 3
  for i = 1, #offsets do
    local at = width * (i - 1)
    operands[at + 1], operands[at + 2], operands[at + 3], operands[at + 4] = verb, 'u1', offsets[i], value
  end
  return operands
end

-- Choose those of some bits that are 1, or 0.
local function chosen(bitmap, offsets, wanted)
  local found = {}
  if #offsets > 0 then
    local bits = redis.call('BITFIELD', bitmap, unpack(each(offsets, 'GET')))
    for i = 1, #offsets do
      if bits[i] == wanted then
        found[#found + 1] = offsets[i]
      end
    end
  end
  return found
end
