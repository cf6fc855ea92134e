-- What was revoked, oldest first: marks, ages in ms and signals (empty: none) in turn.
-- KEYS 1 revoked  2 signals of what is to be terminated
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local signals, flat = {}, redis.call('HGETALL', KEYS[2])
for i = 1, #flat, 2 do signals[flat[i]] = flat[i + 1] end
local found, answer = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'), {}
for i = 1, #found, 2 do
    answer[#answer + 1] = found[i]
    answer[#answer + 1] = math.max(0, math.floor((now - found[i + 1]) * 1000))
    answer[#answer + 1] = signals[found[i]] or ''
end
return answer
