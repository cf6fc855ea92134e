-- Writes down what was revoked, and forgets what is too old or too much.
-- KEYS 1 revoked  2 signals of what is to be terminated
-- ARGV 1 seconds to keep  2 how many at most  3 number of the signal, or empty  4.. marks
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
for i = 4, #ARGV do
    redis.call('ZADD', KEYS[1], now, ARGV[i])
    if ARGV[3] ~= '' then redis.call('HSET', KEYS[2], ARGV[i], ARGV[3]) end
end
local function forget(marks)
    for _, mark in ipairs(marks) do
        redis.call('ZREM', KEYS[1], mark)
        redis.call('HDEL', KEYS[2], mark)
    end
end
forget(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1]))
forget(redis.call('ZRANGE', KEYS[1], 0, -1 - ARGV[2]))
for i = 1, 2 do redis.call('EXPIRE', KEYS[i], math.ceil(ARGV[1]) + 1) end
return 1
