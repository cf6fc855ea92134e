-- Permits of shared limits: each leased message gets one, or goes to the lane of its key.
--
-- KEYS  1 unacked  2 unacked_index  3 permits  4 laned (messages in lanes, by queue)
-- ARGV  1 number of asks, then for each:
--         member (task, NUL, key), queue, lane index, lane list, interval us, ahead us, permits wanted ahead,
--         number of messages, then for each of them: lease tag, length of the entry's tail, list suffix
--
-- `permits` keeps, for each member, the time in us from which its next permit is there; the past is as good as nothing,
-- and is swept a little with each call. A message whose lease is not ours any more gets no permit and is not moved.
-- Returns for each ask: permits for its messages, permits ahead, us until the next permit (-1: nothing was moved),
-- then the places of messages that were not ours.
local unacked, index, permits, laned = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local asks = tonumber(ARGV[1])

redis.call('HDEL', unacked, '')
-- More than some 8000 are too many for "unpack".
local sweep = math.min(16 + 2 * asks, 4000)
local idle = redis.call('ZRANGEBYSCORE', permits, '-inf', string.format('%.0f', now - 1000000), 'LIMIT', 0, sweep)
if #idle > 0 then redis.call('ZREM', permits, unpack(idle)) end

-- Which messages are ours still: one call for many of them costs a tenth of one for each.
local tags, held, at = {}, {}, 2
for ask = 1, asks do
  local count = tonumber(ARGV[at + 7])
  for m = at + 8, at + 8 + 3 * (count - 1), 3 do tags[#tags + 1] = ARGV[m] end
  at = at + 8 + 3 * count
end
for first = 1, #tags, 4000 do
  local scores = redis.call('ZMSCORE', index, unpack(tags, first, math.min(first + 3999, #tags)))
  for k = 1, #scores do held[tags[first + k - 1]] = scores[k] end
end

local reply
reply, at = {}, 2
for ask = 1, asks do
  local member, queue, lanes, lane = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local interval, early, ahead = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local count = tonumber(ARGV[at + 7])
  at = at + 8
  -- A time further away than it can be is not believed: the clock was set back, or the limit was raised.
  local kept = math.min(tonumber(redis.call('ZSCORE', permits, member) or 0), now + interval + early)
  local next_us = math.max(kept, now)
  local room, granted, moved = 0, 0, 0
  local waits = redis.call('ZSCORE', lanes, member)
  if not waits and next_us <= now + early then room = math.floor((now + early - next_us) / interval) + 1 end
  local answer = { 0, 0, -1 }
  for place = 1, count do
    local m = at + 3 * (place - 1)
    local tag = ARGV[m]
    if granted < room then
      if held[tag] then
        granted = granted + 1
      else
        answer[#answer + 1] = place - 1
      end
    else
      local entry = redis.call('HGET', unacked, tag)
      if entry then
        redis.call('LPUSH', lane .. ARGV[m + 2], string.sub(entry, 2, -1 - tonumber(ARGV[m + 1])))
        redis.call('HDEL', unacked, tag)
        moved = moved + 1
      else
        answer[#answer + 1] = place - 1
      end
      redis.call('ZREM', index, tag)
    end
  end
  -- Of whom nothing is ours any more, nobody knows which queue's lane comes first.
  if granted + moved == 0 then ahead = 0 end
  answer[1], answer[2] = granted, math.min(room - granted, ahead)
  if answer[1] + answer[2] > 0 then
    next_us = next_us + (answer[1] + answer[2]) * interval
    redis.call('ZADD', permits, string.format('%.0f', next_us), member)
  end
  if moved > 0 then
    redis.call('HINCRBY', laned, queue, moved)
    local due = tonumber(waits) or (next_us - early)
    if not waits then redis.call('ZADD', lanes, string.format('%.0f', due), member) end
    answer[3] = math.max(due - now, 0)
  end
  reply[ask] = answer
  at = at + 3 * count
end
return reply
