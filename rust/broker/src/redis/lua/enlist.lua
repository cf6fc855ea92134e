-- Says that the queues are there, and tells which have not been for long: an array of members.
-- KEYS 1 enlisted queues   ARGV 1 seconds after which a queue is forgotten  2.. members
local now = tonumber(redis.call('TIME')[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1], 'LIMIT', 0, 100)
