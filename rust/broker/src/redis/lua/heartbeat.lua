-- Says that we live, and makes the given leases young again. The server's clock, so that a worker whose clock is
-- behind does not offer its leases to Celery's restorer.
--
-- KEYS 1 our heartbeat  2 owners  3 unacked_index   ARGV 1 life ms  2 fence  3 incarnation  4.. tags
local now = redis.call('TIME')[1]
-- PEXPIRE first: it is allowed on a server that is out of memory, where SET is not.
if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
end
redis.call('ZADD', KEYS[2], now, ARGV[3])
for first = 4, #ARGV, 1000 do
  local scores = {}
  for i = first, math.min(first + 999, #ARGV) do
    scores[#scores + 1] = now
    scores[#scores + 1] = ARGV[i]
  end
  redis.call('ZADD', KEYS[3], 'XX', unpack(scores))
end
return 1
