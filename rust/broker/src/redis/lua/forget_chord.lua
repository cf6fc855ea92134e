-- Ends a chord that is ours.
-- KEYS 1 parts  2 added  3 size  4 counted  5 claim   ARGV 1 token  2 seconds that the end is remembered
if redis.call('GET', KEYS[5]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('SET', KEYS[5], 'done', 'EX', ARGV[2])
return 1
