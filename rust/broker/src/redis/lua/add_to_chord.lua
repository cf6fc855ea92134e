-- Says that a chord has one member more; of a member that has a name, once.
-- KEYS 1 added  2 marks   ARGV 1 ttl or ''  2 the member or ''  3 seconds that marks are kept
if ARGV[2] ~= '' then
  local is_new = redis.call('HSETNX', KEYS[2], '+' .. ARGV[2], '') == 1
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  if not is_new then return 0 end
end
redis.call('INCR', KEYS[1])
if ARGV[1] ~= '' then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return 1
