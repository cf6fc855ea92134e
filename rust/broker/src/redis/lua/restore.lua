-- Puts leased messages back to the front of lists, each only if its lease still stands.
--
-- KEYS 1 unacked  2 unacked_index   ARGV groups of: tag, message, number of lists, the lists
-- Returns how many messages were put back.
local restored, i = 0, 1
while i <= #ARGV do
  local lists = tonumber(ARGV[i + 2])
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    for list = i + 3, i + 2 + lists do redis.call('RPUSH', ARGV[list], ARGV[i + 1]) end
    redis.call('HDEL', KEYS[1], ARGV[i])
    restored = restored + 1
  end
  redis.call('ZREM', KEYS[2], ARGV[i])
  i = i + 3 + lists
end
return restored
