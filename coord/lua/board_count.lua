-- Count members by score.
--
-- KEYS[1..5]  board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1] low      the lowest score to count, as text
-- ARGV[2] high     the highest
-- ARGV[3] member   count those who score the same as this member instead; empty for nobody
-- Returns {how many score less, how many are counted, how many members there are}; {} for a member that is
--         not on the board.
local keys, low, high, member = KEYS, ARGV[1], ARGV[2], ARGV[3]
-- include board

local board = opened(keys, 0)
if member ~= '' then
  local entry, score = find(board, member)
  if not entry then
    return {}
  end
  low, high = score, score
end
local less = low == '-inf' and 0 or redis.call('ZCOUNT', board.entries, '-inf', '(' .. low)
return {less, redis.call('ZCOUNT', board.entries, low, high), redis.call('ZCARD', board.entries)}
