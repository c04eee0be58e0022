-- Mark ids as active in one or more periods, one bit each; give text ids their numbers on the way.
-- A number is given once and never again: the next one is one more than the highest there is.
-- Of text ids, only those are marked whose chunk is among those declared: the caller, who may guess wrong
-- where an id lies, learns its number from the reply and asks again.
-- With gates, a bit is set only if the same bit of its gate is set.
--
-- KEYS[1]     numbers  sorted set {text id: its number}; not touched if ids are numbers
-- KEYS[2..]   places   a directory a period: sorted set {chunk: chunk};
--                      then for each chunk a bitmap a period, followed by a gate for each if gated
-- ARGV[1]     kinds    how many periods
-- ARGV[2]     chunks   how many chunks are declared
-- ARGV[3]     gated    1 if there are gates
-- ARGV[4]     size     how many ids a chunk holds; 0 if ids are numbers
-- ARGV[5..]   words    when each period ends, milliseconds since the epoch; how long each is kept after
--                      its end, milliseconds; which chunk is each one declared; then the ids: the text,
--                      or for each number the place of its chunk among those declared, and its offset
-- Returns the numbers of text ids, in order.
-- TTL: until the period's end plus its retention; if that is over already, its retention from now on. It is
-- set when a chunk begins, and for the numbers to a day more, so that most calls end after their SETBITs.
local numbers, places, words = KEYS[1], KEYS, ARGV
local kinds, chunks, gated, size = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
local DAY = 86400000

local names = 4 + 2 * kinds
local ids = names + chunks
local stride = gated and 2 * kinds or kinds

local now, longest, lives = nil, 0, {}
local function look_ahead()
  local time = redis.call('TIME')
  now = math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000)
  for kind = 1, kinds do
    local ends, retain = tonumber(words[4 + kind]), tonumber(words[4 + kinds + kind])
    local life = ends + retain > now and ends + retain or now + retain
    lives[kind] = string.format('%.0f', life)
    longest = math.max(longest, life)
  end
end

local entered = {}
local function enter(bitmap, kind, slot)
  entered[bitmap] = true
  if redis.call('PTTL', bitmap) ~= -1 then
    return
  end
  if not now then
    look_ahead()
  end
  local directory, chunk = places[1 + kind], words[names + slot]
  local listed = redis.pcall('ZADD', directory, chunk, chunk)
  if type(listed) == 'table' and listed.err then
    redis.call('DEL', bitmap)
    return listed
  end
  redis.call('PEXPIREAT', bitmap, lives[kind])
  redis.call('PEXPIREAT', directory, lives[kind])
end

local function mark(slot, offset)
  for kind = 1, kinds do
    local at = 1 + kinds + (slot - 1) * stride + kind
    local bitmap = places[at]
    if not gated or redis.call('GETBIT', places[at + kinds], offset) == 1 then
      if redis.call('SETBIT', bitmap, offset, 1) == 0 and not entered[bitmap] then
        local refused = enter(bitmap, kind, slot)
        if refused then
          return refused
        end
      end
    end
  end
end

if size == 0 then
  for at = ids + 1, #words, 2 do
    local refused = mark(tonumber(words[at]), words[at + 1])
    if refused then
      return refused
    end
  end
  return {}
end

local found, highest = {}, nil
for at = ids + 1, #words do
  local number = tonumber(redis.call('ZSCORE', numbers, words[at]) or '-1')
  if number < 0 then
    highest = highest or tonumber(redis.call('ZRANGE', numbers, -1, -1, 'WITHSCORES')[2] or '-1')
    highest = highest + 1
    number = highest
    redis.call('ZADD', numbers, string.format('%.0f', number), words[at])
  end
  found[#found + 1] = number
end

local slots = {}
for slot = 1, chunks do
  slots[tonumber(words[names + slot])] = slot
end
local refused
for _, number in ipairs(found) do
  local chunk = math.floor(number / size)
  local slot = slots[chunk]
  if slot then
    refused = refused or mark(slot, string.format('%.0f', number - chunk * size))
  end
end
if highest and not now and redis.call('PTTL', numbers) == -1 then
  look_ahead()
end
if now and redis.call('PTTL', numbers) < longest + DAY - now then
  redis.call('PEXPIREAT', numbers, string.format('%.0f', longest + DAY))
end
return refused or found
