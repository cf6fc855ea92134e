-- Claims a chord for ever, if it is ours among our workers, or that claim has run out, and the chord is neither done, nor
-- another worker's, Celery's included, nor begun anew.
-- KEYS 1 parts  2 added  3 size  4 counted  5 claim  6 failed  7 marks  8 claim among ours   ARGV 1 token
local claimed = redis.call('GET', KEYS[5])
if claimed and claimed ~= ARGV[1] then return 0 end
local owner = not claimed and redis.call('GET', KEYS[8])
if owner then
  if owner ~= ARGV[1] then return 0 end
  -- A worker of Celery's has joined it since we counted.
  if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
-- Failures may have ended it before it was complete.
elseif not claimed and redis.call('EXISTS', KEYS[1], KEYS[3], KEYS[7]) > 0 and redis.call('EXISTS', KEYS[6]) == 0 then
  local size = redis.call('GET', KEYS[3])
  local is_ordered = redis.call('TYPE', KEYS[1]).ok == 'zset'
  local count = is_ordered and redis.call('ZCARD', KEYS[1]) or redis.call('LLEN', KEYS[1])
  if not size or count < tonumber(size) + tonumber(redis.call('GET', KEYS[2]) or 0) then return 0 end
end
redis.call('SET', KEYS[5], ARGV[1])
for _, i in ipairs({1, 2, 3, 4, 6}) do redis.call('PERSIST', KEYS[i]) end
return 1
