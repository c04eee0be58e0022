-- What the scripts of a leaderboard share, after board: places among its rows, taken or not.

-- Compare as the server orders entries. Lua's own < goes by the locale.
local function precedes(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

-- Count the entries of a score, and those of them that stand before one, whether or not that is still there; say
-- if it is.
local function preceding(board, score, entry)
  local begins = better(board.entries, 'asc', score)
  local level = redis.call('ZCOUNT', board.entries, score, score)
  local low, high = begins, begins + level
  while low < high do
    local middle = math.floor((low + high) / 2)
    if precedes(redis.call('ZRANGE', board.entries, middle, middle)[1], entry) then
      low = middle + 1
    else
      high = middle
    end
  end
  local there = low < begins + level and redis.call('ZRANGE', board.entries, low, low)[1] == entry
  return level, low - begins, there
end

-- Count the rows that stand up to (score, entry), whether or not that is still there.
local function passed(board, order, score, entry)
  local _, before, there = preceding(board, score, entry)
  return better(board.entries, order, score) + before + (there and 1 or 0)
end
