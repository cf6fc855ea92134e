-- Puts messages of lanes back to the front of their queue, in order, at most `limit` of them.
--
-- KEYS  1 index of shared lanes  2 index of workers' lanes  3 laned
-- ARGV  1 us: only lanes whose permit was there so long ago; '' for all  2 limit  3 queue's name  4 prefix of lane lists
--       5 'purge' to drop them instead  then pairs: list suffix, the queue's list; least urgent first
-- Returns how many were moved, and 1 when there may be more.
local limit, moved, has_more = tonumber(ARGV[2]), 0, 0
local ceiling = '+inf'
if ARGV[1] ~= '' then
  local time = redis.call('TIME')
  ceiling = string.format('%.0f', time[1] * 1000000 + time[2] - ARGV[1])
end
for which = 1, 2 do
  local members = redis.call('ZRANGEBYSCORE', KEYS[which], '-inf', ceiling, 'LIMIT', 0, limit)
  if #members == limit then has_more = 1 end
  for _, member in ipairs(members) do
    for p = 6, #ARGV, 2 do
      local lane = ARGV[4] .. member .. ARGV[p]
      local count = math.min(redis.call('LLEN', lane), limit - moved)
      if count > 0 then
        if ARGV[5] == 'purge' then
          redis.call('LTRIM', lane, count, -1)
        else
          -- The newest first: each goes in front of the one before.
          for _ = 1, count do redis.call('LMOVE', lane, ARGV[p + 1], 'LEFT', 'RIGHT') end
        end
        moved = moved + count
      end
    end
    if moved == limit then
      has_more = 1
      break
    end
    redis.call('ZREM', KEYS[which], member)
  end
  if moved == limit then break end
end
if moved > 0 and redis.call('HINCRBY', KEYS[3], ARGV[3], -moved) == 0 then redis.call('HDEL', KEYS[3], ARGV[3]) end
return { moved, has_more }
