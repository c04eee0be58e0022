-- What the scripts of a leaderboard share, after board and ranks: rows that stand one after the other.

-- Give up to `count` entries and their scores, as they stand from place `start` (from 0) on; and the place where
-- the entries of the first score begin, and the one after those of the last.
local function rows(board, order, start, count)
  local entries, scores = {}, {}
  if count < 1 then
    return entries, scores, start, start
  end
  -- A row more at either end tells whether its score goes on there.
  local more = start > 0 and 1 or 0
  local command = order == 'desc' and 'ZREVRANGE' or 'ZRANGE'
  local found = redis.call(command, board.entries, start - more, start + count, 'WITHSCORES')
  local length = math.max(0, math.min(count, #found / 2 - more))
  local begins, ends = start, start + length
  local at = 2 * more
  for i = 1, length do
    entries[i], scores[i] = found[at + 1], found[at + 2]
    at = at + 2
  end
  if length > 0 and more == 1 and found[2] == scores[1] then
    begins = better(board.entries, order, scores[1])
  end
  if length > 0 and found[at + 2] == scores[length] then
    ends = better(board.entries, order, scores[length], true)
  end
  -- Turn the entries of each score round again.
  local i = order == 'desc' and 1 or length + 1
  while i <= length do
    local score, j = scores[i], i
    while scores[j + 1] == score do
      j = j + 1
    end
    local skipped = i == 1 and start - begins or 0
    if skipped > 0 or (j == length and ends > start + length) then
      local from = better(board.entries, 'asc', score) + skipped
      for offset, entry in ipairs(redis.call('ZRANGE', board.entries, from, from + j - i)) do
        entries[i + offset - 1] = entry
      end
    elseif j > i then
      for offset = 0, (j - i - 1) / 2 do
        entries[i + offset], entries[j - offset] = entries[j - offset], entries[i + offset]
      end
    end
    i = j + 1
  end
  return entries, scores, begins, ends
end

-- Give the columns of up to `count` rows, from place `start` on: {twice the rank}, {member}, {score}, {meta}; and
-- the last one's entry, if there is any.
local function ranked(board, rule, order, start, count)
  local members, scores, begins, ends = rows(board, order, start, count)
  local length = #members
  if length == 0 then
    return {}, {}, {}, {}
  end
  local last = members[length]
  if board.first then
    for i = 1, length do
      members[i] = string.sub(members[i], DIGITS + 1)
    end
  end
  -- Count for the first and the last score, derive what is between them.
  local level = rule == 'dense' and better(board.scores, order, scores[1])
  local twice, i = {}, 1
  while i <= length do
    local score, j = scores[i], i
    while scores[j + 1] == score do
      j = j + 1
    end
    local rank
    if rule == 'dense' then
      level = level + 1
      rank = 2 * level
    elseif rule ~= 'ordinal' then
      local ahead, matched = i == 1 and begins or start + i - 1, j == length and ends or start + j
      rank = twice_rank(board, rule, order, nil, score, ahead, matched)
    end
    for one = i, j do
      twice[one] = rank or 2 * (start + one)
    end
    i = j + 1
  end
  return twice, members, scores, redis.call('HMGET', board.meta, unpack(members)), last
end
