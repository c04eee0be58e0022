-- A sliding window is kept as an exact log or as two counters. Either is read as the other if its precision
-- has changed. Entries of a log are ordered by time; the latest may lie in the future.
local SLICE = 32 -- list elements read at once, two an entry: few where one is enough, and few calls where not

-- The counters of a window's last two stretches, at a later moment.
local function rolled(begin, previous, current, at)
  local passed = math.floor((at - begin) / window)
  if passed == 1 then
    begin, previous, current = begin + window, current, 0
  elseif passed > 1 then
    previous, current = 0, 0
  end
  if previous + current == 0 then
    begin = math.max(begin, at) -- as though nothing had been remembered
  end
  return begin, previous, current
end

-- What the counters say counts now. What the window before this one counts shrinks evenly as time passes: in
-- units, so that products of counts and times are exact.
local function estimate(begin, previous, current)
  local into = math.max(0, math.floor((now - begin) / unit))
  return current + math.ceil(previous * (units - into) / units)
end

local function read_counters(text)
  local written, begin, previous, current = string.match(text, '^(%d+):(%d+):(%d+):(%d+)$')
  if not written then return nil end
  local shift = math.max(0, written - now)
  begin, previous, current = rolled(begin - shift, previous + 0, current + 0, now)
  return shift, begin, previous, current
end

-- How far the log's times have to be shifted, which entry is the first that still counts, if one does, the sum
-- of those that do, and the time of the newest.
local function read_log(head)
  local written, sum = tonumber(head[1]), tonumber(head[2])
  if not written or not sum then return nil end
  local shift, first, slice, i = math.max(0, written - now), 2, head, 3
  while true do
    while slice[i] and now >= slice[i] - shift + window do
      sum, i, first = sum - slice[i + 1], i + 2, first + 2
    end
    if slice[i] then
      return shift, first, true, sum, redis.call('LINDEX', key, -2) - shift
    end
    slice, i = redis.call('LRANGE', key, first, first + SLICE - 1), 1
    if #slice == 0 then
      return shift, first, false, 0, 0
    end
  end
end

