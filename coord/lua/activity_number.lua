-- Give each text id a number of its own, dense from 0 on and never reused.
--
-- KEYS[1] numbers  hash {id: number}
-- ARGV[1] retain   how long to keep the numbers after this use, milliseconds
-- ARGV[2..] ids    the ids
-- Returns their numbers, in order.
-- The next number is the size of the hash, which is right because no id is ever removed from it.
local numbers = KEYS[1]
local retain = ARGV[1]

local found = {}
for i = 2, #ARGV do
  local number = redis.call('HGET', numbers, ARGV[i])
  if not number then
    number = redis.call('HLEN', numbers)
    redis.call('HSET', numbers, ARGV[i], number)
  end
  found[i - 1] = tonumber(number)
end
if redis.call('PTTL', numbers) < tonumber(retain) then
  redis.call('PEXPIRE', numbers, retain)
end
return found
