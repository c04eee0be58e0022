-- Take from one limit, reserve, or look at it. The answer is that of limit_apply.
local at = cost > 0 and when(cost) or now
local granted = at - now <= (verb == 'reserve' and operand or 0)
if granted and at > now and overlong then
  granted = not overlong(cost, at)
end
local more, before, after = 0, nil, nil
if cost > 0 and verb ~= 'look' then
  if granted then
    before = at > now and (found and encode() or '') or nil
    charge(cost, at)
    if verb == 'take' and operand > 0 then
      more = math.max(0, math.min(operand, limit - used()))
      charge(more, at)
    end
    save()
    after = at > now and encode() or nil
  elseif back or redis.call('PTTL', key) == -1 then
    save()
  end
end
local counted, closed = used()
return {
  granted and 1 or 0, at - now, now, more, at > now and 1 or 0,
  closed and 0 or math.max(0, limit - counted), granted and 0 or at - now, reset(), before, after,
}
