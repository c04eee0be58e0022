-- What the scripts of a leaderboard share: how a board is kept, and how its rows are ordered and ranked.
--
-- A board is five keys:
--   entries  sorted set {entry: score}; an entry is the member, or on a board whose ties go to whoever came
--            first, 16 digits of when its score was reached and then the member
--   scores   sorted set {score as text: score}, each score that some member has, once
--   reached  hash {member: those 16 digits, "": the last ones given}; exists only on such a board
--   meta     hash {member: text}
--   expiry   sorted set {member: when its score lapses, milliseconds since the epoch}
-- The sorted set's own order, by score and then by entry, is that of an ascending read. A descending one
-- turns the scores round, but not the entries of one score: ties stand the same way in both.
local DIGITS = 16
local PURGE = 100 -- the most members that one call lets lapse
local SLICE = 1000 -- unpack() has a limit

local function text(number)
  return string.format('%.17g', number)
end

local asked

-- Give the time in microseconds, which is asked for once.
local function micros()
  if not asked then
    local time = redis.call('TIME')
    asked = tonumber(time[1]) * 1000000 + tonumber(time[2])
  end
  return asked
end

-- Counting. All are O(log n). A score is text here, as a server spells it or as `text` does: both name the
-- same double, but not always by the same letters, so that one is not to be compared with the other.

local function better(set, order, score)
  if order == 'desc' then
    return redis.call('ZCOUNT', set, '(' .. score, '+inf')
  end
  return redis.call('ZCOUNT', set, '-inf', '(' .. score)
end

local function equal(set, score)
  return redis.call('ZCOUNT', set, score, score)
end

-- Writing. Whatever changes a board goes through put and forget, which keep its five keys in step.

local function entry_of(board, member)
  if not board.first then
    return member
  end
  local digits = redis.call('HGET', board.reached, member)
  return digits and digits .. member
end

local function member_of(board, entry)
  return board.first and string.sub(entry, DIGITS + 1) or entry
end

-- Give the entry and the score of a member; nothing if it is not on the board.
local function find(board, member)
  local entry = entry_of(board, member)
  local score = entry and redis.call('ZSCORE', board.entries, entry)
  if score then
    return entry, score
  end
end

-- Forget a score that nobody has any more.
local function drop_score(board, score)
  if equal(board.entries, score) == 0 then
    redis.call('ZREM', board.scores, text(tonumber(score)))
  end
end

-- Set a member's score, a number, where `find` found what it had before; give its entry. `digits` say when
-- it was reached, on a board whose ties go by that.
local function put(board, member, score, digits, old_entry, old)
  local entry, new = member, text(score)
  if board.first then
    entry = digits .. member
    redis.call('HSET', board.reached, member, digits)
  end
  redis.call('ZADD', board.entries, new, entry)
  redis.call('ZADD', board.scores, new, new)
  if old_entry and old_entry ~= entry then
    redis.call('ZREM', board.entries, old_entry)
  end
  if old then
    drop_score(board, old)
  end
  return entry
end

local function forget(board, member)
  local entry, score = find(board, member)
  if not entry then
    return 0
  end
  redis.call('ZREM', board.entries, entry)
  drop_score(board, score)
  redis.call('HDEL', board.meta, member)
  redis.call('ZREM', board.expiry, member)
  if board.first then
    redis.call('HDEL', board.reached, member)
    if redis.call('ZCARD', board.entries) == 0 then
      redis.call('DEL', board.reached)
    end
  end
  return 1
end

local function lapse(board, now)
  local gone = redis.call('ZRANGEBYSCORE', board.expiry, '-inf', text(now), 'LIMIT', 0, PURGE)
  for _, member in ipairs(gone) do
    forget(board, member)
  end
  return #gone
end

-- Take five keys for a board, and let the members lapse whose time is over.
local function opened(keys, after)
  local board = {
    entries = keys[after + 1],
    scores = keys[after + 2],
    reached = keys[after + 3],
    meta = keys[after + 4],
    expiry = keys[after + 5],
  }
  if redis.call('EXISTS', board.reached, board.expiry) > 0 then
    board.first = redis.call('EXISTS', board.reached) == 1
    board.lapsed = lapse(board, math.floor(micros() / 1000))
  end
  return board
end

-- Reading.

-- Say where an entry stands, from 0.
local function place(board, order, entry, score)
  local rank = redis.call('ZRANK', board.entries, entry)
  if order == 'asc' then
    return rank
  end
  return better(board.entries, 'desc', score) + rank - better(board.entries, 'asc', score)
end

-- Give twice the rank, which is a whole number under every rule.
local function twice_rank(board, rule, order, entry, score)
  if rule == 'ordinal' then
    return 2 * (place(board, order, entry, score) + 1)
  elseif rule == 'dense' then
    return 2 * (better(board.scores, order, score) + 1)
  end
  local before = better(board.entries, order, score)
  if rule == 'competition' then
    return 2 * (before + 1)
  end
  local same = equal(board.entries, score)
  return rule == 'modified' and 2 * (before + same) or 2 * before + same + 1
end

-- Compare as the server orders entries. Lua's own < goes by the locale.
local function precedes(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

-- Count the entries of a score that stand before one, whether or not that is still there; say if it is.
local function preceding(board, score, entry)
  local begins = better(board.entries, 'asc', score)
  local low, high = begins, begins + equal(board.entries, score)
  local ends = high
  while low < high do
    local middle = math.floor((low + high) / 2)
    if precedes(redis.call('ZRANGE', board.entries, middle, middle)[1], entry) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low - begins, low < ends and redis.call('ZRANGE', board.entries, low, low)[1] == entry
end

-- Count the rows that stand up to (score, entry), whether or not that is still there.
local function passed(board, order, score, entry)
  local before, there = preceding(board, score, entry)
  return better(board.entries, order, score) + before + (there and 1 or 0)
end

-- Give up to `count` entries and their scores, as they stand from place `start` (from 0) on.
local function rows(board, order, start, count)
  local entries, scores = {}, {}
  if count < 1 then
    return entries, scores
  end
  local command = order == 'desc' and 'ZREVRANGE' or 'ZRANGE'
  local found = redis.call(command, board.entries, start, start + count - 1, 'WITHSCORES')
  local length = #found / 2
  for i = 1, length do
    entries[i], scores[i] = found[2 * i - 1], found[2 * i]
  end
  if order == 'asc' then
    return entries, scores
  end
  -- Turn the entries of each score round again. The first and the last score may go on outside.
  local i = 1
  while i <= length do
    local j = i
    while scores[j + 1] == scores[i] do
      j = j + 1
    end
    if i == 1 or j == length then
      local skipped = i == 1 and start - better(board.entries, 'desc', scores[i]) or 0
      local from = better(board.entries, 'asc', scores[i]) + skipped
      for offset, entry in ipairs(redis.call('ZRANGE', board.entries, from, from + j - i)) do
        entries[i + offset - 1] = entry
      end
    else
      for offset = 0, j - i do
        entries[i + offset] = found[2 * (j - offset) - 1]
      end
    end
    i = j + 1
  end
  return entries, scores
end

-- Give twice the rank of each of some rows: count for the first, derive the rest.
local function twice_ranks(board, rule, order, start, scores)
  local twice, i = {}, 1
  local level = #scores > 0 and better(board.scores, order, scores[1])
  while i <= #scores do
    local j = i
    while scores[j + 1] == scores[i] do
      j = j + 1
    end
    local before = i == 1 and better(board.entries, order, scores[i]) or start + i - 1
    local same = (i == 1 or j == #scores) and equal(board.entries, scores[i]) or j - i + 1
    level = level + 1
    for at = i, j do
      twice[at] = rule == 'ordinal' and 2 * (start + at)
        or rule == 'dense' and 2 * level
        or rule == 'competition' and 2 * (before + 1)
        or rule == 'modified' and 2 * (before + same)
        or 2 * before + same + 1
    end
    i = j + 1
  end
  return twice
end

-- Give what was noted about each of some members, false for nothing.
local function metas(board, members)
  local noted = {}
  for from = 1, #members, SLICE do
    local upto = math.min(from + SLICE - 1, #members)
    for i, one in ipairs(redis.call('HMGET', board.meta, unpack(members, from, upto))) do
      noted[from + i - 1] = one
    end
  end
  return noted
end

-- Append rows to a reply: twice the rank, member, score, meta.
local function append(reply, board, rule, order, start, entries, scores)
  local twice = twice_ranks(board, rule, order, start, scores)
  local members = {}
  for i, entry in ipairs(entries) do
    members[i] = member_of(board, entry)
  end
  local noted = metas(board, members)
  for i, member in ipairs(members) do
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = twice[i], member, scores[i], noted[i]
  end
  return reply
end
