-- Count members by score.
--
-- KEYS[1..5] board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]    low      the lowest score to count, as text
-- ARGV[3]    high     the highest
-- ARGV[4]    member   count those who score the same as this member instead; empty for nobody
-- Returns {how many score less, how many are counted, how many members there are}; {} for a member that is
--         not on the board.
local keys, tiebreak, low, high, member = KEYS, ARGV[1], ARGV[2], ARGV[3], ARGV[4]
-- include board

local board = opened(keys, 0, tiebreak)
if board.answer then
  return board.answer
end
if member ~= '' then
  local entry, score = find(board, member)
  if not entry then
    return {}
  end
  low, high = score, score
end
local less = low == '-inf' and 0 or redis.call('ZCOUNT', board.entries, '-inf', '(' .. low)
return {less, redis.call('ZCOUNT', board.entries, low, high), redis.call('ZCARD', board.entries)}
