-- Takes parked messages out, each in one step with its result.
--
-- KEYS 1 unacked  2 unacked_index  3 parked  4 parked by id  then a result key, or '', for each message
-- ARGV 1 broker db  2 result db  then for each: parked tag, document, ttl, '1' when one was seen, the one seen
-- Returns for each: 1 it is gone, 0 it was not parked, -1 another document is stored than the one seen.
redis.call('HDEL', KEYS[1], '')
local answers = {}
for i = 3, #ARGV, 5 do
  local tag, key = ARGV[i], KEYS[4 + (i + 2) / 5]
  local is_parked = string.sub(tag, 1, 4) == 'fwp:'
  local answer = is_parked and redis.call('HEXISTS', KEYS[1], tag) or 0
  if answer == 1 and key ~= '' then
    if ARGV[2] ~= ARGV[1] then redis.call('SELECT', ARGV[2]) end
    if is_unchanged(key, ARGV[i + 3], ARGV[i + 4]) then
      store(key, ARGV[i + 1], ARGV[i + 2], '')
    else
      answer = -1
    end
    if ARGV[2] ~= ARGV[1] then redis.call('SELECT', ARGV[1]) end
  end
  if is_parked and answer ~= -1 then
    redis.call('HDEL', KEYS[1], tag)
    redis.call('ZREM', KEYS[2], tag)
    redis.call('ZREM', KEYS[3], tag)
    redis.call('ZREM', KEYS[4], tag)
  end
  answers[#answers + 1] = answer
end
return answers
