-- Keep a key until a moment at the least, in milliseconds since the epoch. It is never kept for less long than before:
-- where two objects of one name differ in how long they keep what they share, the longer time counts.
local function prolong(key, dies, now)
  if redis.call('PTTL', key) < dies - now then
    redis.call('PEXPIREAT', key, string.format('%.0f', dies))
  end
end

