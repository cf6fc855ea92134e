-- Joins of ours that are not ended; those of the dead become ours. A dead owner is struck off the list of owners.
-- KEYS 1 joins  2 owners   ARGV 1 our incarnation  2 prefix of heartbeat keys  3 how many at most
-- Returns pairs: group, join.
if redis.call('HLEN', KEYS[1]) == 0 then return {} end
local found, all = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local owner = string.sub(all[i + 1], 1, 16)
  local join = ARGV[1] .. string.sub(all[i + 1], 17)
  if owner ~= ARGV[1] and redis.call('EXISTS', ARGV[2] .. owner) == 0 and not redis.call('ZSCORE', KEYS[2], owner) then
    redis.call('HSET', KEYS[1], all[i], join)
    owner = ARGV[1]
  end
  if owner == ARGV[1] and #found < 2 * tonumber(ARGV[3]) then
    found[#found + 1] = all[i]
    found[#found + 1] = join
  end
end
return found
