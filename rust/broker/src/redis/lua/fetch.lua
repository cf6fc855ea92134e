-- Moves up to `want` messages from the lists to the lease, in one atomic step and without reading their JSON.
--
-- KEYS  1 unacked  2 unacked_index  3 our heartbeat  4 owners  5 dead  6 dead index  7 paused  8.. the lists, step by
--       step and queue by queue within a step
-- ARGV  1 want  2 tag prefix "fw:<incarnation>:<fetch>:"  3 fetch number  4 incarnation  5 lease life, ms
--       6 which queue's turn it is; or, where one comes before another, all indices in order, each with a comma after it
--       7 number of queues Q  then Q entry tails, Q queue names, and the steps;
--       with bounds also Q rooms (at most so many of this queue) and Q shares
--
-- Returns nil when this fetch was given up by its worker (its number is below the fence). Otherwise a flat array:
-- the lengths of all lists after the pops, then pairs of (index of the list from 0, what was popped from it). A popped
-- message that went to the dead letters leaves a nil, so that the n-th place over all pairs is the message of tag n.
local unacked, index, dead, dead_index = KEYS[1], KEYS[2], KEYS[5], KEYS[6]
local want, prefix, number = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local queues, turn, order = tonumber(ARGV[7]), tonumber(ARGV[6]), {}
for index in string.gmatch(ARGV[6], '(%d+),') do order[#order + 1] = tonumber(index) end
local is_strict = #order > 0
for k = 0, is_strict and -1 or queues - 1 do order[k + 1] = (k + turn) % queues end
local steps = (#KEYS - 7) / queues
local time = redis.call('TIME')
local now = time[1]

-- Keys of a wrong type are refused before anything is popped: after a pop there is no way back.
redis.call('HDEL', unacked, '')
redis.call('ZREM', index, '')
redis.call('HDEL', dead, '')
redis.call('ZREM', dead_index, '')

local fence = redis.call('GET', KEYS[3])
if not fence then
  -- A lease without a registered owner would never be recovered.
  redis.call('SET', KEYS[3], number, 'PX', ARGV[5])
  redis.call('ZADD', KEYS[4], now, ARGV[4])
elseif tonumber(fence) > number then
  return false
end

local function field(text)
  return #text .. ':' .. text
end

local taken = 0
local function lease(items, tail, queue, step)
  local fields, scores, n = {}, {}, 0
  local suffix = ':' .. step
  for k = 1, #items do
    local raw = items[k]
    taken = taken + 1
    if (string.byte(raw, 1) == 123 and string.byte(raw, -1) == 125) or string.find(raw, '^%s*{.*}%s*$') then
      local tag = prefix .. taken .. suffix
      fields[n + 1], fields[n + 2] = tag, '[' .. raw .. tail
      scores[n + 1], scores[n + 2] = now, tag
      n = n + 2
    else
      local id = 'not-json:' .. ARGV[4] .. ':' .. number .. ':' .. taken
      local died = now .. string.format('%03d', math.floor(time[2] / 1000))
      redis.call('HSET', dead, id, 'FWD1' .. field(queue) .. field('') .. field('not JSON')
        .. field('the message is no JSON object; look at it, then purge it') .. field(died) .. field(step) .. field(raw))
      redis.call('ZADD', dead_index, died, id)
      items[k] = false
    end
  end
  if n > 0 then
    redis.call('HSET', unacked, unpack(fields, 1, n))
    redis.call('ZADD', index, unpack(scores, 1, n))
  end
end

local room, part = {}, {}
local bounds = 7 + 2 * queues + steps
for q = 0, queues - 1 do
  room[q] = tonumber(ARGV[bounds + 1 + q] or math.huge)
  part[q] = tonumber(ARGV[bounds + 1 + queues + q] or 1)
end
for _, name in ipairs(redis.call('SMEMBERS', KEYS[7])) do
  for q = 0, queues - 1 do
    if ARGV[8 + queues + q] == name then room[q] = 0 end
  end
end

local reply = { false }
for s = 0, steps - 1 do
  if want == 0 then break end
  local live = {}
  for _, q in ipairs(order) do
    if room[q] > 0 then live[#live + 1] = q end
  end
  while want > 0 and #live > 0 do
    -- Queues of one step take turns: each gives its share, and what one leaves over goes to the others. Or the first
    -- gives all it has.
    local wanted, parts, rest = want, 0, {}
    for _, q in ipairs(live) do parts = parts + part[q] end
    for _, q in ipairs(live) do
      local share = is_strict and want or parts > 0 and wanted * part[q] / parts or wanted / #live
      local count = math.min(math.ceil(share), want, room[q])
      if share == 0 then
        rest[#rest + 1] = q
      elseif count > 0 then
        local list = s * queues + q
        local items = redis.call('RPOP', KEYS[8 + list], count)
        if items then
          want = want - #items
          room[q] = room[q] - #items
          if #items == count and room[q] > 0 then rest[#rest + 1] = q end
          lease(items, ARGV[8 + q], ARGV[8 + queues + q], ARGV[8 + 2 * queues + s])
          reply[#reply + 1] = list
          reply[#reply + 1] = items
        end
      end
    end
    live = rest
  end
end

-- Reading every list last arms client tracking for the next push; our own pops would disarm it. What is in a queue
-- without room is no news.
local lengths = {}
for list = 8, #KEYS do
  lengths[list - 7] = room[(list - 8) % queues] > 0 and redis.call('LLEN', KEYS[list]) or 0
end
reply[1] = lengths
return reply
