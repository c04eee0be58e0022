-- A state that is one text is written as a whole.
local function save()
  local left = reset()
  if left > 0 then
    redis.call('SET', key, encode(), 'PXAT', math.ceil((now + left) / 1000))
  else
    redis.call('DEL', key)
  end
end

