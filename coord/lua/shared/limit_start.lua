-- What the scripts of limits have in common.
--
-- Time is whole microseconds. A state is dated by when it was written, and what has passed since then is
-- never less than nothing: if the clock steps back, no state is older or younger for it, and it is written
-- anew. Nobody overtakes: while something is booked for later, nothing is admitted before it.
-- A denied call writes nothing, unless the clock has stepped back or a state has lost its TTL.
-- TTL: until a state says no more than none at all, as a moment in milliseconds, rounded up. A duration
-- would count from the server's clock in whole milliseconds, and end up to one too early.
--
-- The rules of each kind of limit are in shared/limit_bucket.lua and its like. Those lines take its key and its
-- numbers from locals, read its state, and leave what the verbs need, which know no kind:
-- found             whether there is a state
-- back              whether the clock has stepped back since it was written
-- used()            how much counts; and whether nothing is admitted now, since something is booked for later
-- when(cost)        the first moment at which so much fits
-- charge(cost, at)  charge so much, for such a moment
-- reset()           microseconds until the state says no more than none at all
-- encode()          the state as text
-- save()            write it
local NOT_OURS, overlong = 'WRONGTYPE this value is not the state of a limit', nil
local MOST = 2 ^ 52 -- ticks a bucket may lack: half of what a double counts exactly, so a sum of two still does

