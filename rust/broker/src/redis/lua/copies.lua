-- The queues that were enlisted with an exchange: an array of members.
-- KEYS 1 enlisted queues   ARGV 1 what their members begin with  2 within so many seconds
local time = redis.call('TIME')
local since = time[1] + time[2] / 1000000 - ARGV[2]
local found = {}
-- The times of members are whole seconds.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], math.floor(since), '+inf')) do
  if string.sub(member, 1, #ARGV[1]) == ARGV[1] then found[#found + 1] = member end
end
return found
