-- Writes down what was revoked, and forgets what is too old or too much.
-- KEYS 1 revoked   ARGV 1 seconds to keep  2 how many at most  3.. marks
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[2])
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[1]) + 1)
return 1
