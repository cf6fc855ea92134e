-- Begins a chord, and forgets an earlier run of it. The same run goes on: whoever began it before may have published its
-- header.
-- KEYS 1 parts  2 added  3 size  4 counted  5 claim  6 failed  7 marks  8 claim among ours
-- ARGV 1 size or ''  2 ttl or ''  3 name of the run, or ''  4 seconds that marks are kept
if ARGV[3] ~= '' and redis.call('HGET', KEYS[7], 'run') == ARGV[3] then return 0 end
redis.call('DEL', unpack(KEYS))
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[3], ARGV[1])
  if ARGV[2] ~= '' then redis.call('EXPIRE', KEYS[3], ARGV[2]) end
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[7], 'run', ARGV[3])
  redis.call('EXPIRE', KEYS[7], ARGV[4])
end
return 1
