-- Puts leased messages back to the front of lists, each only if its lease still stands.
--
-- KEYS 1 unacked  2 unacked_index   ARGV groups of: tag, heartbeat of its holder or '', message, number of lists, the lists
-- A holder whose heartbeat is there keeps its lease. Returns how many messages were put back.
local restored, i = 0, 1
while i <= #ARGV do
  local lists = tonumber(ARGV[i + 3])
  if ARGV[i + 1] == '' or redis.call('EXISTS', ARGV[i + 1]) == 0 then
    if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
      for list = i + 4, i + 3 + lists do redis.call('RPUSH', ARGV[list], ARGV[i + 2]) end
      redis.call('HDEL', KEYS[1], ARGV[i])
      restored = restored + 1
    end
    redis.call('ZREM', KEYS[2], ARGV[i])
  end
  i = i + 4 + lists
end
return restored
