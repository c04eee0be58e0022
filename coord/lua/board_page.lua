-- Read a contiguous stretch of a board, with what is needed to rank its rows.
--
-- KEYS[1] board   sorted set
-- ARGV[1] order   desc | asc
-- ARGV[2] size    how many rows
-- ARGV[3] member  centre the rows on this member; without it they start at the top
-- Returns {position of the first row from 0, how many members score better than the first row,
--         member, score, member, score, ...}; {} for an empty board or a missing member.
-- Near an end the window shifts rather than shrinks: it always has min(size, length) rows.
local board = KEYS[1]
local order, size, member = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local start = 0
if member then
  local position = redis.call(order == 'desc' and 'ZREVRANK' or 'ZRANK', board, member)
  if not position then
    return {}
  end
  local last = redis.call('ZCARD', board) - size
  start = math.max(0, math.min(position - math.floor(size / 2), last))
end
local command = order == 'desc' and 'ZREVRANGE' or 'ZRANGE'
local rows = redis.call(command, board, start, start + size - 1, 'WITHSCORES')
if #rows == 0 then
  return {}
end
local first = string.format('%.17g', tonumber(rows[2]))
local better
if order == 'desc' then
  better = redis.call('ZCOUNT', board, '(' .. first, '+inf')
else
  better = redis.call('ZCOUNT', board, '-inf', '(' .. first)
end
local page = {start, better}
for i = 1, #rows, 2 do
  page[i + 2] = rows[i]
  page[i + 3] = string.format('%.17g', tonumber(rows[i + 1]))
end
return page
