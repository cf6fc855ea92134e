-- KEYS 1 the message's record of attempts   ARGV 1 floor  2 seconds to keep it
local attempt = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[1])) + 1
redis.call('SET', KEYS[1], attempt, 'EX', ARGV[2])
return attempt
