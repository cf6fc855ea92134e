-- Throws away a queue for copies whose worker has not been heard of, unless it has by now.
-- KEYS 1 enlisted queues  2, 3 the exchange's binding tables  4.. what belongs to the queue alone
-- ARGV 1 the member  2 the row of the tables  3 seconds after which it is forgotten
local seen = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not seen or seen + 0 > redis.call('TIME')[1] - ARGV[3] then return 0 end
for i = 4, #KEYS do redis.call('DEL', KEYS[i]) end
for i = 2, 3 do redis.call('SREM', KEYS[i], ARGV[2]) end
return redis.call('ZREM', KEYS[1], ARGV[1])
