-- List the chunks that exist of several bitmaps, a page at a time.
--
-- KEYS[1..n] directories  sorted sets {chunk: chunk}
-- ARGV[1]    from         the lowest chunk to list
-- ARGV[2]    page         how many to list of each
-- Returns for each directory its chunks, in ascending order.
local directories = KEYS
local from, page = ARGV[1], ARGV[2]

local found = {}
for i, directory in ipairs(directories) do
  found[i] = redis.call('ZRANGEBYSCORE', directory, from, '+inf', 'LIMIT', 0, page)
end
return found
