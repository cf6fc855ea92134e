-- Ends a join: messages, states, and the end of the chord.
--
-- KEYS 1 joins; and where the chord is kept by this server: 2 parts  3 added  4 size  5 counted  6 claim  7 failed
--      8 where parts are kept
-- ARGV 1 group  2 token  3 broker db  4 result db  5 seconds that the end is remembered  6 seconds that the parts
--      are kept or ''  7 number of messages, then their pairs (list, message); then the states by fours: result key, document, ttl, '1' for SUCCESS
--
-- Returns 1 when it was done; 0 when it is done already, or the chord was begun anew.
redis.call('HDEL', KEYS[1], '')
local join = redis.call('HGET', KEYS[1], ARGV[1])
if not join or token_of(join) ~= ARGV[2] then return 0 end
local has_chord = KEYS[6] ~= nil
if has_chord then
  if ARGV[4] ~= ARGV[3] then redis.call('SELECT', ARGV[4]) end
  local claimed = redis.call('GET', KEYS[6])
  if ARGV[4] ~= ARGV[3] then redis.call('SELECT', ARGV[3]) end
  if claimed ~= ARGV[2] then
    redis.call('HDEL', KEYS[1], ARGV[1])
    return 0
  end
end
local last = 7 + 2 * tonumber(ARGV[7])
for i = 8, last, 2 do redis.call('LPUSH', ARGV[i], ARGV[i + 1]) end
if has_chord then
  if ARGV[4] ~= ARGV[3] then redis.call('SELECT', ARGV[4]) end
  for i = last + 1, #ARGV, 4 do store(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
  keep_parts(KEYS[2], KEYS[8], ARGV[6])
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[7])
  redis.call('SET', KEYS[6], 'done', 'EX', ARGV[5])
  if ARGV[4] ~= ARGV[3] then redis.call('SELECT', ARGV[3]) end
end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
