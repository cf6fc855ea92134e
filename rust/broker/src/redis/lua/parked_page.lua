-- Parked tags behind a place, with their due times.  KEYS 1 parked   ARGV 1 due ms  2 tag, '' for the first page  3 limit
local first = 0
if ARGV[2] ~= '' then
  local rank = redis.call('ZRANK', KEYS[1], ARGV[2])
  if rank then
    first = rank + 1
  else
    -- It has left; where it would stand now is where the rest begins. After the first write, which does nothing, a
    -- server that is out of memory lets the others pass.
    redis.call('ZREM', KEYS[1], '')
    redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
    first = redis.call('ZRANK', KEYS[1], ARGV[2])
    redis.call('ZREM', KEYS[1], ARGV[2])
  end
end
return redis.call('ZRANGE', KEYS[1], first, first + ARGV[3] - 1, 'WITHSCORES')
