-- Count the different ids of one selection of keys, or of two and of both together; or give back all that
-- a selection holds, to be united elsewhere.
--
-- KEYS[1]     scratch  a key of the same slot; does not exist before or after
-- KEYS[2..n]  parts    sets of hashes and HyperLogLogs, those of the first selection first
-- ARGV[1]     limit    the most hashes that a period holds exactly
-- ARGV[2]     most     the most hashes of several periods that are still united exactly
-- ARGV[3]     first    how many keys are the first selection's
-- ARGV[4]     rolled   a character for each key: '1' for a roll-up, which must exist to be read
-- ARGV[5]     wanted   'counts', or 'content' for what the first selection holds
-- Returns {places, answers}. With places, 1 for the first key, there are no answers: these roll-ups are to
--         be made first. An answer is {1, n} for an exact count and {0, n} for a sketch's; or {1, hashes},
--         or {0, HyperLogLog}. Counts are of the first selection, the second and both, if there are two.
local scratch, parts = KEYS[1], {unpack(KEYS, 2)}
local limit, most, first = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local rolled, wanted = ARGV[4], ARGV[5]

local sizes, missing = {}, {} -- a size is the number of hashes, -1 for a HyperLogLog, 0 for nothing
for i, part in ipairs(parts) do
  local kind = redis.call('TYPE', part).ok
  sizes[i] = 0
  if kind == 'set' then
    local size = redis.call('SCARD', part)
    sizes[i] = size <= limit and size or -1 -- see unique_add.lua
  elseif kind == 'string' then
    sizes[i] = -1
  elseif kind ~= 'none' then
    return redis.error_reply('WRONGTYPE neither hashes nor a HyperLogLog')
  end
  if string.sub(rolled, i, i) == '1' then
    if kind == 'none' then
      missing[#missing + 1] = i
    elseif kind == 'string' and redis.call('PFCOUNT', part) == 0 then
      sizes[i] = 0 -- rolled up from nothing
    end
  end
end
if #missing > 0 then
  return {missing, {}}
end

local function answer(from, to)
  local sets, sketches, total = {}, {}, 0
  for i = from, to do
    if sizes[i] > 0 then
      sets[#sets + 1] = parts[i]
      total = total + sizes[i]
    elseif sizes[i] < 0 then
      sketches[#sketches + 1] = parts[i]
    end
  end
  local content = wanted == 'content'
  if #sketches == 0 and (total <= most or #sets == 1) then
    if #sets == 1 and not content then
      return {1, total}
    end
    local hashes = #sets > 0 and redis.call('SUNION', unpack(sets)) or {}
    return {1, content and hashes or #hashes}
  end
  if #sets == 0 and not content then
    return {0, redis.call('PFCOUNT', unpack(sketches))}
  end
  redis.call('DEL', scratch) -- left behind by an error below
  for _, set in ipairs(sets) do
    redis.call('PFADD', scratch, unpack(redis.call('SMEMBERS', set)))
  end
  redis.call('PEXPIRE', scratch, 60000) -- deleted below; this is for a call that fails
  sketches[#sketches + 1] = scratch
  local found
  if content then
    redis.call('PFMERGE', scratch, unpack(sketches))
    if redis.call('TYPE', scratch).ok == 'set' then -- see unique_add.lua
      found = {1, redis.call('SMEMBERS', scratch)}
    else
      found = {0, redis.call('GET', scratch)}
    end
  else
    found = {0, redis.call('PFCOUNT', unpack(sketches))}
  end
  redis.call('DEL', scratch)
  return found
end

local answers = {answer(1, first)}
if first < #parts then
  answers[2] = answer(first + 1, #parts)
  answers[3] = answer(1, #parts)
end
return {missing, answers}
