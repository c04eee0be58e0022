-- Take from one approximate sliding window, reserve, or look at it. Does what limit_apply does, and less besides.
--
-- KEYS[1] window   see limit_apply
-- ARGV[1] verb     take, reserve or look: see limit_apply
-- ARGV[2] operand  see limit_apply
-- ARGV[3] cost     how much of the limit
-- ARGV[4] limit    the most in a window
-- ARGV[5] window   microseconds
-- ARGV[6] units    units in a window
-- ARGV[7] unit     microseconds
-- Returns what limit_apply does.
local key, verb, operand, cost = KEYS[1], ARGV[1], ARGV[2] + 0, ARGV[3] + 0
local limit, window, units, unit = ARGV[4] + 0, ARGV[5] + 0, ARGV[6] + 0, ARGV[7] + 0

-- include limit_clock
-- include limit_start
-- include limit_sliding
-- include limit_counter
-- include limit_text
-- include limit_decide
