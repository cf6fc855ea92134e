-- Puts parked messages to the front of their lists, in another form, each only if it is still parked.
--
-- KEYS 1 unacked  2 unacked_index  3 parked  4 parked by id   ARGV triples: parked tag, list, message
-- Returns 1 or 0 for each.
redis.call('HDEL', KEYS[1], '')
local released = {}
for i = 1, #ARGV, 3 do
  local tag, stands = ARGV[i], 0
  if string.sub(tag, 1, 4) == 'fwp:' then
    stands = redis.call('HEXISTS', KEYS[1], tag)
    if stands == 1 then redis.call('RPUSH', ARGV[i + 1], ARGV[i + 2]) end
    redis.call('HDEL', KEYS[1], tag)
    redis.call('ZREM', KEYS[2], tag)
    redis.call('ZREM', KEYS[3], tag)
    redis.call('ZREM', KEYS[4], tag)
  end
  released[#released + 1] = stands
end
return released
