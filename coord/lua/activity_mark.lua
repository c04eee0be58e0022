-- Mark ids as active in one or more periods, one bit each; give text ids their numbers on the way.
-- A number is given once and never again, even if its id is taken out: how many were given is kept as well.
-- Of text ids, only those are marked whose chunk is among those declared: the caller, who may guess wrong
-- where an id lies, learns its number from the reply and asks again.
-- With gates, a bit is set only if the same bit of its gate is set.
--
-- KEYS[1]     numbers  sorted set {text id: its number}, and of the empty id, below zero, how many were
--                      given; not touched if ids are numbers
-- KEYS[2..]   places   a directory a period: sorted set {chunk: chunk};
--                      then for each chunk a bitmap a period, followed by a gate for each if gated
-- ARGV[1]     kinds    how many periods
-- ARGV[2]     chunks   how many chunks are declared
-- ARGV[3]     gated    1 if there are gates
-- ARGV[4]     size     how many ids a chunk holds; 0 if ids are numbers
-- ARGV[5]     lives    when each period ends, milliseconds since the epoch, then how long each is kept after
--                      its end, milliseconds; with spaces between, since few calls need to know
-- ARGV[6..]   words    which chunk is each one declared; then the ids, no two alike: the text, or for
--                      numbers, how many are in each of the chunks, and the offset there of each
-- Returns the numbers of text ids, in order.
-- TTL: until the period's end plus its retention; if that is over already, its retention from now on. It is
-- set when a chunk begins, and for the numbers to a day more, so that most calls end when the bits are set.
-- include bits
local numbers, places, words, lives = KEYS[1], KEYS, ARGV, ARGV[5]
local kinds, chunks, gated, size = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
local DAY = 86400000 -- milliseconds
local ids = 5 + chunks -- the words before the first id

-- Which bits to set, chunk by chunk.
local found, new, offsets = {}, {}, {}
if size == 0 then
  local to = ids + chunks
  for slot = 1, chunks do
    local from = to + 1
    to = to + tonumber(words[ids + slot])
    offsets[slot] = {unpack(words, from, to)}
  end
else
  words[#words + 1] = ''
  found = redis.call('ZMSCORE', numbers, unpack(words, ids + 1))
  local first = -tonumber(table.remove(found) or 0)
  local highest = first - 1
  for i = 1, #found do
    if not found[i] then
      highest = highest + 1
      found[i] = highest
      new[#new + 1], new[#new + 2] = highest, words[ids + i]
    end
  end
  if #new > 0 then
    redis.call('ZADD', numbers, -highest - 1, '', unpack(new))
    if first == 0 then
      redis.call('PEXPIRE', numbers, DAY)
    end
  end
  for slot = 1, chunks do -- a number may be in none of them
    local start, inside = tonumber(words[5 + slot]) * size, {}
    for i = 1, #found do
      local offset = found[i] - start
      if offset >= 0 and offset < size then
        inside[#inside + 1] = offset
      end
    end
    offsets[slot] = inside
  end
end

-- Set them; note the chunks that begin with that, which have no TTL yet.
local begun = {}
for slot = 1, chunks do
  local all, fields = offsets[slot], nil
  local before = 1 + kinds + (slot - 1) * (gated and 2 * kinds or kinds)
  for kind = 1, #all > 0 and kinds or 0 do
    local bitmap, several, clear = places[before + kind], all, false
    if gated then
      several, fields = chosen(places[before + kinds + kind], all, 1), nil
    end
    if #several == 1 then
      clear = redis.call('SETBIT', bitmap, several[1], 1) == 0
    elseif #several > 1 then
      fields = fields or each(several, 'SET', 1)
      local bits = redis.call('BITFIELD', bitmap, unpack(fields))
      for i = 1, #bits do
        clear = clear or bits[i] == 0
      end
    end
    if clear and redis.call('PTTL', bitmap) == -1 then
      begun[#begun + 1] = {bitmap = bitmap, kind = kind, chunk = words[5 + slot]}
    end
  end
end

if #begun > 0 then
  local time, spans, expiries, longest = redis.call('TIME'), {}, {}, 0
  local now = math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000)
  for span in string.gmatch(lives, '%d+') do
    spans[#spans + 1] = tonumber(span)
  end
  for kind = 1, kinds do
    local ends, retain = spans[kind], spans[kinds + kind]
    local life = ends + retain > now and ends + retain or now + retain
    expiries[kind] = string.format('%.0f', life)
    longest = math.max(longest, life)
  end
  if size > 0 and redis.call('PTTL', numbers) < longest + DAY - now then
    redis.call('PEXPIREAT', numbers, string.format('%.0f', longest + DAY))
  end
  local refused
  for _, one in ipairs(begun) do
    local directory, life = places[1 + one.kind], expiries[one.kind]
    local listed = redis.pcall('ZADD', directory, one.chunk, one.chunk)
    if type(listed) == 'table' and listed.err then
      redis.call('DEL', one.bitmap)
      refused = listed
    else
      redis.call('PEXPIREAT', one.bitmap, life)
      redis.call('PEXPIREAT', directory, life)
    end
  end
  if refused then
    return refused
  end
end
for i = 1, #found do
  found[i] = tonumber(found[i])
end
return found
