-- Has parked messages be due soon, with their eta as it is, each only if it is still parked.
--
-- KEYS 1 unacked  2 unacked_index  3 parked   ARGV 1 milliseconds from now  2 visibility timeout in ms  3.. parked tags
-- Returns 1 or 0 for each.
local time = redis.call('TIME')
local soon = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
local hastened = {}
for i = 3, #ARGV do
  local tag, due = ARGV[i], redis.call('ZSCORE', KEYS[3], ARGV[i])
  local stands = due and redis.call('HEXISTS', KEYS[1], tag) or 0
  if stands == 1 and soon < tonumber(due) then
    redis.call('ZADD', KEYS[3], 'XX', string.format('%.0f', soon), tag)
    redis.call('ZADD', KEYS[2], 'XX', string.format('%.3f', (soon - ARGV[2]) / 1000), tag)
  end
  hastened[#hastened + 1] = stands
end
return hastened
