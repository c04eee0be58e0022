-- Write members as a board keeps them, whatever was there before. For a board in the making: see
-- board_swap.lua.
--
-- KEYS[1..5]  board     entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]     tiebreak  name | first: how equal scores stand
-- ARGV[2]     ttl       how long the board lives unless something happens to it, milliseconds
-- ARGV[3..]   rows      for each: member, score as text, when it was reached, whether there is meta (1 or
--                       0), the meta
-- Returns nothing of use.
local keys, tiebreak, ttl, words = KEYS, ARGV[1], ARGV[2], ARGV
-- include board

local board = opened(keys, 0)
board.first = tiebreak == 'first'
local put = writers()
for at = 3, #words, 5 do
  local member, digits = words[at], words[at + 2]
  put(board, member, tonumber(words[at + 1]) + 0, digits, find(board, member))
  if board.first and tonumber(digits) > tonumber(redis.call('HGET', board.reached, '') or '-1') then
    redis.call('HSET', board.reached, '', digits)
  end
  if words[at + 3] == '1' then
    redis.call('HSET', board.meta, member, words[at + 4])
  end
end
for _, key in ipairs(keys) do
  redis.call('PEXPIRE', key, ttl)
end
return 1
