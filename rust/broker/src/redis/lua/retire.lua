-- Strikes a dead incarnation off, unless it has come back meanwhile.  KEYS 1 its heartbeat  2 owners  ARGV 1 its name
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
return redis.call('ZREM', KEYS[2], ARGV[1])
