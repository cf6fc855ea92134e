-- Makes a claim on a chord last, if it is ours or nobody's and the chord is not done.
-- KEYS 1 parts  2 added  3 size  4 counted  5 claim  6 failed   ARGV 1 token
local claimed = redis.call('GET', KEYS[5])
if claimed and claimed ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[5], ARGV[1])
for _, i in ipairs({1, 2, 3, 4, 6}) do redis.call('PERSIST', KEYS[i]) end
return 1
