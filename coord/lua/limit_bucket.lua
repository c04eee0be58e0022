-- Take from one token bucket, reserve, or look at it. Does what limit_apply does, and less besides.
--
-- KEYS[1] bucket   see limit_apply
-- ARGV[1] verb     take, reserve or look: see limit_apply
-- ARGV[2] operand  see limit_apply
-- ARGV[3] cost     in tokens
-- ARGV[4] limit    in tokens, when full
-- ARGV[5] pace     ticks gained each unit
-- ARGV[6] token    ticks that make one token
-- ARGV[7] unit     microseconds
-- Returns what limit_apply does.
local key, verb, operand, cost = KEYS[1], ARGV[1], ARGV[2] + 0, ARGV[3] + 0
local limit, pace, token, unit = ARGV[4] + 0, ARGV[5] + 0, ARGV[6] + 0, ARGV[7] + 0

-- include limit_clock
-- include limit_start
-- include limit_bucket
-- include limit_text
-- include limit_decide
