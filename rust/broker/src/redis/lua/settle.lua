-- Ends one lease, if it is still ours: successors, result and removal in one step.
--
-- KEYS  1 unacked  2 unacked_index  3 parked  4 dead  5 dead index  6 attempts record or ''  7 result key or ''
--       8 parked by id  9 revoked; of a chord's member 10 joins, and if it is counted here 11 parts  12 added  13 size
--       14 counted  15 group  16 claim  17 failed
-- ARGV  1 verb  2 tag  3 broker db  4 result db  5 document  6 ttl  7 '1' for SUCCESS  8 number of successors
--       then their pairs (list, message), and the verb's own arguments:
--         return, requeue  list, length of the entry's tail, marked message or ''
--         park    parked tag, due ms, visibility timeout in ms, mark by which it would be revoked
--         lane    list, length of the entry's tail, index of workers' lanes, task, counts of laned messages, queue
--         dead    id, queue, reason, detail, died ms, length of the entry's tail, step
--       last, of a chord's member: group, join; and if it is counted here task id, place, part, '1' for a sorted set, ttl or
--       '', token, failures borne or ''
--
-- Returns 1 when it was done, 2 when it also completed a chord, 0 when the lease was not ours. What can fail (a list of a wrong type) comes before the
-- removal, so that an error leaves the lease in place.
local unacked, index, verb, tag = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local successors = tonumber(ARGV[8])
local args = 8 + 2 * successors

-- After a write, be it one that does nothing, a server that is out of memory lets a script go on. What ends here is
-- what makes room.
redis.call('HDEL', unacked, '')

local entry, owned = nil, true
if verb == 'ack' or verb == 'keep' then
  owned = redis.call('HEXISTS', unacked, tag) == 1
elseif verb ~= 'acked' then
  entry = redis.call('HGET', unacked, tag)
  owned = entry ~= false
end

if owned then
  for i = 9, args, 2 do redis.call('LPUSH', ARGV[i], ARGV[i + 1]) end
end
if KEYS[7] ~= '' and (owned or ARGV[7] == '1') then
  if ARGV[4] ~= ARGV[3] then redis.call('SELECT', ARGV[4]) end
  store(KEYS[7], ARGV[5], ARGV[6], ARGV[7])
  if ARGV[4] ~= ARGV[3] then redis.call('SELECT', ARGV[3]) end
end
if not owned then return 0 end
local done = 1
if KEYS[10] then
  local at = #ARGV - 1
  if KEYS[11] then
    at = #ARGV - 8
    if ARGV[4] ~= ARGV[3] then redis.call('SELECT', ARGV[4]) end
    if add_part(KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[16], KEYS[17], ARGV[at + 2], ARGV[at + 3],
        ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], ARGV[at + 8], '') then
      done = 2
    end
    if ARGV[4] ~= ARGV[3] then redis.call('SELECT', ARGV[3]) end
  else
    done = 2
  end
  if done == 2 then redis.call('HSET', KEYS[10], ARGV[at], ARGV[at + 1]) end
end
if verb == 'keep' or verb == 'acked' then return done end

local function field(text)
  return #text .. ':' .. text
end

if verb == 'return' or verb == 'requeue' then
  local message = ARGV[args + 3]
  if message == '' then message = string.sub(entry, 2, -1 - tonumber(ARGV[args + 2])) end
  redis.call('RPUSH', ARGV[args + 1], message)
elseif verb == 'park' then
  local parked, due = ARGV[args + 1], ARGV[args + 2]
  local revoked, time = redis.call('ZSCORE', KEYS[9], ARGV[args + 4]), redis.call('TIME')
  if revoked and time[1] - revoked < 600 then
    -- Revoked on its way here. Revokes are forgotten some day: let a worker end it while this one is known. One that is
    -- ten minutes old was known to the worker that sent it here.
    due = string.format('%.0f', math.min(due, time[1] * 1000 + math.floor(time[2] / 1000) + 1000))
  end
  redis.call('HSET', unacked, parked, entry)
  redis.call('ZADD', index, string.format('%.3f', (due - ARGV[args + 3]) / 1000), parked)
  redis.call('ZADD', KEYS[3], due, parked)
  redis.call('ZADD', KEYS[8], 0, parked)
elseif verb == 'lane' then
  local time = redis.call('TIME')
  redis.call('LPUSH', ARGV[args + 1], string.sub(entry, 2, -1 - tonumber(ARGV[args + 2])))
  redis.call('ZADD', ARGV[args + 3], time[1] .. string.format('%06d', time[2]), ARGV[args + 4])
  redis.call('HINCRBY', ARGV[args + 5], ARGV[args + 6], 1)
elseif verb == 'dead' then
  local message = string.sub(entry, 2, -1 - tonumber(ARGV[args + 6]))
  local task, priority = '', ARGV[args + 7]
  local ok, envelope = pcall(cjson.decode, message)
  if ok and type(envelope) == 'table' then
    local headers, properties = envelope.headers, envelope.properties
    if type(headers) == 'table' and type(headers.task) == 'string' then task = headers.task end
    if type(properties) == 'table' and type(properties.priority) == 'number' then
      priority = string.format('%d', math.max(0, math.min(9, properties.priority)))
    end
  end
  -- Two messages may bear one id (a task sent twice by hand); neither may replace the other.
  local id, n = ARGV[args + 1], 1
  while redis.call('HEXISTS', KEYS[4], id) == 1 do
    n = n + 1
    id = ARGV[args + 1] .. '~' .. n
  end
  redis.call('HSET', KEYS[4], id, 'FWD1' .. field(ARGV[args + 2]) .. field(task) .. field(ARGV[args + 3])
    .. field(ARGV[args + 4]) .. field(ARGV[args + 5]) .. field(priority) .. field(message))
  redis.call('ZADD', KEYS[5], ARGV[args + 5], id)
end
redis.call('HDEL', unacked, tag)
redis.call('ZREM', index, tag)
if KEYS[6] ~= '' and verb ~= 'return' and verb ~= 'park' and verb ~= 'lane' then redis.call('DEL', KEYS[6]) end
return done
