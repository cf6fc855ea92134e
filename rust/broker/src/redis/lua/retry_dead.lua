-- Publishes a dead letter again and strikes it off.  KEYS 1 dead  2 dead index  3 list   ARGV 1 id  2 record  3 message
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('LPUSH', KEYS[3], ARGV[3])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
