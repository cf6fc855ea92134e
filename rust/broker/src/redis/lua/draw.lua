-- Moves messages whose permit is there from the lanes of the watched queues to the lease. Numbered, fenced and tagged
-- like a fetch (fetch.lua), so that a lost answer is found again in the same way.
--
-- KEYS  1 unacked  2 unacked_index  3 our heartbeat  4 owners  5 permits  6 laned  7 paused
--       then Q indices of shared lanes, Q indices of workers' lanes
-- ARGV  1 want  2 tag prefix  3 fetch number  4 incarnation  5 lease life, ms  6 which queue's turn it is  7 catch-up, us
--       8 Q  9 number of steps S  10 number of shared limits  11 number of workers' limits
--       then Q entry tails, Q queue names, Q prefixes of lane lists, S steps, S list suffixes,
--       shared limits: task, interval us, ahead us;  workers' limits: task, permits;  with bounds: Q rooms
--
-- Returns nil when fenced off. Otherwise: us until the next permit of a shared lane (-1: there is none), for each
-- workers' limit whether its lanes still have messages (in queues with room), then pairs of (index of the list from 0, as in a fetch, and what
-- was popped from it).
local unacked, index, permits, laned = KEYS[1], KEYS[2], KEYS[5], KEYS[6]
local want, prefix, number, turn = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[6])
local catch_up, queues, steps = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local shared, own = tonumber(ARGV[10]), tonumber(ARGV[11])
local tails, names, lists = 11, 11 + queues, 11 + 2 * queues
local step_at, suffix_at = 11 + 3 * queues, 11 + 3 * queues + steps
local limits_at = suffix_at + steps
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

redis.call('HDEL', unacked, '')
redis.call('ZREM', index, '')
local fence = redis.call('GET', KEYS[3])
if not fence then
  redis.call('SET', KEYS[3], number, 'PX', ARGV[5])
  redis.call('ZADD', KEYS[4], time[1], ARGV[4])
elseif tonumber(fence) > number then
  return false
end

local room, bounds = {}, limits_at + 3 * shared + 2 * own
for q = 1, queues do room[q] = tonumber(ARGV[bounds + q] or math.huge) end
for _, name in ipairs(redis.call('SMEMBERS', KEYS[7])) do
  for q = 1, queues do
    if ARGV[names + q] == name then room[q] = 0 end
  end
end

local reply, taken = {}, 0
-- Up to `count` messages of one lane, most urgent first. Returns how many it had.
local function pop(member, q, count)
  local got = 0
  for s = 1, steps do
    if got == count then break end
    local items = redis.call('RPOP', ARGV[lists + q] .. member .. ARGV[suffix_at + s], count - got)
    if items then
      local fields, scores, n = {}, {}, 0
      for k = 1, #items do
        taken = taken + 1
        local tag = prefix .. taken .. ':' .. ARGV[step_at + s]
        fields[n + 1], fields[n + 2] = tag, '[' .. items[k] .. ARGV[tails + q]
        scores[n + 1], scores[n + 2] = time[1], tag
        n = n + 2
      end
      redis.call('HSET', unacked, unpack(fields, 1, n))
      redis.call('ZADD', index, unpack(scores, 1, n))
      got = got + #items
      reply[#reply + 1] = (s - 1) * queues + q - 1
      reply[#reply + 1] = items
    end
  end
  if got > 0 then redis.call('HINCRBY', laned, ARGV[names + q], -got) end
  want = want - got
  room[q] = room[q] - got
  return got
end

local has_more = {}
for w = 1, own do
  local member = ARGV[limits_at + 3 * shared + 2 * w - 1]
  local left = tonumber(ARGV[limits_at + 3 * shared + 2 * w])
  has_more[w] = 0
  for k = 1, queues do
    local q = (k - 1 + turn) % queues + 1
    local lanes = KEYS[7 + queues + q]
    if redis.call('ZSCORE', lanes, member) then
      local count = math.min(left, want, room[q])
      local got = count > 0 and pop(member, q, count) or 0
      left = left - got
      if got < count then
        redis.call('ZREM', lanes, member)
      else
        redis.call('ZADD', lanes, string.format('%.0f', now), member)
        if room[q] > 0 then has_more[w] = 1 end
      end
    end
  end
end

local pace = {}
for k = 1, shared do
  local first = limits_at + 3 * k - 2
  pace[ARGV[first]] = { tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2]) }
end
local next_in = -1
for k = 1, shared > 0 and queues or 0 do
  local q = (k - 1 + turn) % queues + 1
  local lanes = KEYS[7 + q]
  local share = math.min(math.ceil(want / (queues - k + 1)), room[q])
  local due = share > 0 and redis.call('ZRANGEBYSCORE', lanes, '-inf', string.format('%.0f', now), 'LIMIT', 0, share) or {}
  for _, member in ipairs(due) do
    if share == 0 then break end
    local limit = pace[string.match(member, '^[^%z]*')]
    if limit then
      local interval, early = limit[1], limit[2]
      local kept = math.min(tonumber(redis.call('ZSCORE', permits, member) or now), now + interval + early)
      local next_us = math.max(kept, now - catch_up)
      if next_us <= now + early then
        local count = math.min(math.floor((now + early - next_us) / interval) + 1, share)
        local got = pop(member, q, count)
        share = share - got
        next_us = next_us + got * interval
        if got > 0 then redis.call('ZADD', permits, string.format('%.0f', next_us), member) end
        if got < count then
          redis.call('ZREM', lanes, member)
        else
          redis.call('ZADD', lanes, string.format('%.0f', next_us - early), member)
        end
      else
        redis.call('ZADD', lanes, string.format('%.0f', next_us - early), member)
      end
    end
  end
  -- More that is due now, if there was no room for it; else the first of the future.
  local from = want == 0 and '-inf' or '(' .. string.format('%.0f', now)
  local first = room[q] > 0 and redis.call('ZRANGEBYSCORE', lanes, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if first then
    local wait = math.max(tonumber(first) - now, 0)
    if next_in < 0 or wait < next_in then next_in = wait end
  end
end
table.insert(reply, 1, next_in)
table.insert(reply, 2, has_more)
return reply
