-- Ends a chord that is ours.
-- KEYS 1 parts  2 added  3 size  4 counted  5 claim  6 failed  7 where parts are kept  8 claim among ours
-- ARGV 1 token  2 seconds that the end is remembered  3 seconds that the parts are kept or ''
if (redis.call('GET', KEYS[5]) or redis.call('GET', KEYS[8])) ~= ARGV[1] then return 0 end
keep_parts(KEYS[1], KEYS[7], ARGV[3])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6], KEYS[8])
redis.call('SET', KEYS[5], 'done', 'EX', ARGV[2])
return 1
