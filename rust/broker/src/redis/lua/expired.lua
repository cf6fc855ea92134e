-- Leases that nobody refreshed for the whole visibility timeout, oldest first; parked messages are not among them.
-- KEYS 1 unacked_index   ARGV 1 visibility timeout, s  2 limit
local ceiling = redis.call('TIME')[1] - ARGV[1]
local tags = {}
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ceiling, 'LIMIT', 0, ARGV[2])) do
  if string.sub(tag, 1, 4) ~= 'fwp:' then tags[#tags + 1] = tag end
end
return tags
