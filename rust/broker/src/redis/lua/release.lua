-- Puts parked messages that are due back to the front of their lists, unmarked: they were never started.
--
-- KEYS 1 unacked  2 unacked_index  3 parked  4 parked by id   ARGV 1 now ms  2 limit
-- Returns when the next one is due, or nil.
local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
-- The one that was due first is pushed last, and so is fetched first.
for i = #due, 1, -1 do
  local tag = due[i]
  local tail, list = home_of(tag)
  local entry = redis.call('HGET', KEYS[1], tag)
  if entry and list then
    redis.call('RPUSH', list, string.sub(entry, 2, -1 - tonumber(tail)))
    redis.call('HDEL', KEYS[1], tag)
    redis.call('ZREM', KEYS[2], tag)
  end
  redis.call('ZREM', KEYS[3], tag)
  redis.call('ZREM', KEYS[4], tag)
end
return redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2] or false
