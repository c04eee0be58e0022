-- What the scripts of a leaderboard share: how a board is kept.
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
--
-- A server makes the functions of a script anew in each call, which costs it about as much as a count. So there
-- are few, and what only writes need is made by those that write.
local DIGITS = 16 -- microseconds since the epoch, until the year 2286
local asked

-- Count the members of a sorted set with better scores, or with those that are `level` too. O(log n), as is what
-- follows. A score is text here, as a server spells it or as `text` does: both name the same double, but not
-- always by the same letters, so that one is not to be compared with the other.
local function better(set, order, score, level)
  local bound = level and score or '(' .. score
  if order == 'desc' then
    return redis.call('ZCOUNT', set, bound, '+inf')
  end
  return redis.call('ZCOUNT', set, '-inf', bound)
end

-- Give the entry and the score of a member; nothing if it is not on the board.
local function find(board, member)
  local entry = member
  if board.first then
    local digits = redis.call('HGET', board.reached, member)
    if not digits then
      return nil
    end
    entry = digits .. member
  end
  local score = redis.call('ZSCORE', board.entries, entry)
  if score then
    return entry, score
  end
end

-- Make what writes need: put, forget, text and micros. Whatever changes a board goes through the first two,
-- which keep its five keys in step.
local function writers()
  local function text(number)
    return string.format('%.17g', number)
  end

  -- Give the time in microseconds, which is asked for once.
  local function micros()
    if not asked then
      local time = redis.call('TIME')
      asked = tonumber(time[1]) * 1000000 + tonumber(time[2])
    end
    return asked
  end

  -- Forget a score that nobody has any more.
  local function drop_score(board, score)
    if redis.call('ZCOUNT', board.entries, score, score) == 0 then
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

  -- Take a member off; give 1, or 0 if it is not there.
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

  return put, forget, text, micros
end

-- Take five keys for a board, and let the members lapse whose time is over, up to 50 of them, which takes a server
-- about a millisecond; of several boards in one script, to share these 50. Some boards cannot be asked: then
-- `board.answer` is what the script must answer, having done nothing else. It is LAPSING where more have lapsed, and
-- the script is asked again until none is left. It is LOST where the caller's ties go to whoever came first
-- and there are members, but nothing says when they came.
local function opened(keys, after, tiebreak, boards)
  local board = {
    entries = keys[after + 1],
    scores = keys[after + 2],
    reached = keys[after + 3],
    meta = keys[after + 4],
    expiry = keys[after + 5],
  }
  local kept = redis.call('EXISTS', board.reached, board.expiry)
  board.first = kept > 0 and redis.call('EXISTS', board.reached) == 1
  if tiebreak == 'first' and not board.first and redis.call('EXISTS', board.entries) == 1 then
    board.answer = 'LOST'
    return board
  end
  if kept == 0 then
    return board
  end
  if kept == 2 or not board.first then
    local _, forget, text, micros = writers()
    local now = text(math.floor(micros() / 1000))
    local most = math.ceil(50 / (boards or 1))
    local gone = redis.call('ZRANGEBYSCORE', board.expiry, '-inf', now, 'LIMIT', 0, most)
    for _, member in ipairs(gone) do
      forget(board, member)
    end
    board.lapsed = #gone
    if #gone == most and redis.call('ZCOUNT', board.expiry, '-inf', now) > 0 then
      board.answer = 'LAPSING'
    end
  end
  return board
end
