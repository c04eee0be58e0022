-- Put a board that was made beside it in a board's place.
--
-- KEYS[1..5]   made   the new board: entries, scores, reached, meta, expiry (see shared/board.lua)
-- KEYS[6..10]  board  where it goes; what was there is freed in the background
-- ARGV[1]      ttl    how long it lives, milliseconds; empty for ever
-- ARGV[2]      taken  1 to note under the empty name when this was done, as a snapshot says when it was taken
-- Returns how many members it has.
local keys, ttl, taken = KEYS, tonumber(ARGV[1]), ARGV[2] == '1'
-- include board

local _, _, text, micros = writers()
for i = 1, 5 do
  local made, goes = keys[i], keys[i + 5]
  redis.call('UNLINK', goes)
  if redis.call('EXISTS', made) == 1 then
    redis.call('RENAME', made, goes)
    redis.call('PERSIST', goes)
  end
end
local board = opened(keys, 5)
if taken then
  redis.call('HSET', board.meta, '', text(micros()))
end
if ttl then
  for i = 6, 10 do
    redis.call('PEXPIRE', keys[i], text(ttl))
  end
end
return redis.call('ZCARD', board.entries)
