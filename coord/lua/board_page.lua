-- Read rows of a board that stand one after the other, with their ranks.
--
-- KEYS[1..5] board    entries, scores, reached, meta, expiry (see shared/board.lua)
-- ARGV[1]    tiebreak name | first: how equal scores stand, as the caller has it
-- ARGV[2]    order    desc | asc: how to read it
-- ARGV[3]    ties     how equal scores rank: ordinal | competition | modified | dense | fractional
-- ARGV[4]    size     how many rows
-- ARGV[5]    where    which rows: from | end | around | after | near | score
-- ARGV[6]    start    from: how many rows to skip; end: how many to skip at the end; around: the member;
--                     after: the score where an earlier read ended; near: a score; score: the lowest score
-- ARGV[7]    further  after: the entry where it ended; near: an entry, which need not be on the board, with
--                     `size` rows before and after the place where it would stand; score: the highest score
-- ARGV[8]    skip     score: how many rows to skip
-- Returns {how many members there are, the last row's entry or "" if none stands after it, then the columns of
--         the rows: {twice the rank}, {member}, {score as text}, {meta or nil}}.
-- Around a member near an end the rows shift rather than run short: they are min(size, members) always.
local keys, tiebreak, order, ties, size, where = KEYS, ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local start, further, skip = ARGV[6], ARGV[7], tonumber(ARGV[8])
-- include board
-- include ranks
-- include rows
-- include places

local board = opened(keys, 0, tiebreak)
if board.answer then
  return board.answer
end
local total = redis.call('ZCARD', board.entries)
if where == 'from' then
  start = tonumber(start)
elseif where == 'end' then
  start = total - tonumber(start) - size
  size = math.min(size, size + start)
  start = math.max(start, 0)
elseif where == 'after' then
  start = passed(board, order, start, further)
elseif where == 'near' then
  start = math.max(0, passed(board, order, start, further) - size)
  size = 2 * size
elseif where == 'around' then
  local entry, score = find(board, start)
  if not entry then
    return {total, '', {}, {}, {}, {}}
  end
  local position = twice_rank(board, 'ordinal', order, entry, score) / 2 - 1
  start = math.max(0, math.min(position - math.floor(size / 2), total - size))
else
  local inside = redis.call('ZCOUNT', board.entries, start, further)
  local best = order == 'desc' and further or start
  start = skip + (string.find(best, 'inf') and 0 or better(board.entries, order, best))
  size = math.min(size, inside - skip)
end
local twice, members, scores, metas, last = ranked(board, ties, order, start, size)
local follows = last and start + #members < total and last or ''
return {total, follows, twice, members, scores, metas}
