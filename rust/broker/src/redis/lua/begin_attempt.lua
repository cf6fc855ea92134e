-- Counts a start, unless the lease is not ours any more: returns the start's number, or 0.
--
-- KEYS 1 the message's record of attempts  2 unacked   ARGV 1 floor  2 seconds to keep it  3 lease tag
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 0 then return 0 end
local attempt = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[1])) + 1
redis.call('SET', KEYS[1], attempt, 'EX', ARGV[2])
return attempt
