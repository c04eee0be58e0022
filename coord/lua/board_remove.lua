-- Take members off a board, with all that is kept about them: those named, those beyond the best so many,
-- or those whose scores have lapsed.
--
-- KEYS[1..5] board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]    order    desc | asc: which are the best
-- ARGV[3]    best     how many to leave on the board; empty to leave all
-- ARGV[4]    most     how many to take off at the most, by best
-- ARGV[5..]  members  who else to take off
-- Returns {how many were taken off by best, how many by name, how many scores had lapsed, 1 if more have lapsed and
--         nothing else was done, or 0}.
local keys, tiebreak, order, best, most, words = KEYS, ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV
-- include board
-- include ranks
-- include rows

local board = opened(keys, 0, tiebreak)
if board.answer then
  return board.lapsed and {0, 0, board.lapsed, 1} or board.answer
end
local _, forget = writers()
local named, trimmed = 0, 0
for at = 5, #words do
  named = named + forget(board, words[at])
end
if best then
  local total = redis.call('ZCARD', board.entries)
  local start = math.max(best, total - most)
  for _, entry in ipairs((rows(board, order, start, total - start))) do
    trimmed = trimmed + forget(board, board.first and string.sub(entry, DIGITS + 1) or entry)
  end
end
return {trimmed, named, board.lapsed or 0, 0}
