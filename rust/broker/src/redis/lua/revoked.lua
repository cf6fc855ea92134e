-- What was revoked, oldest first, as a flat array of marks and ages in ms.  KEYS 1 revoked
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local found = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 2, #found, 2 do found[i] = math.max(0, math.floor((now - found[i]) * 1000)) end
return found
