-- Ends leases of tasks that run now (acks_late=False), and says which of them were ours.
--
-- KEYS  1 unacked  2 unacked_index  3 what this worker ended last in this way
-- ARGV  pairs: tag, record of attempts or ''
--
-- Returns 1 or 0 for each. A call that is repeated because its answer was lost finds its tags in the third key, and is
-- answered as it was: a worker repeats one call until it is answered, so the last one is all that has to be kept.
redis.call('HDEL', KEYS[1], '')
local answers, ours, last = {}, {}, nil
for i = 1, #ARGV, 2 do
  local tag = ARGV[i] .. ' '
  local is_ours = redis.call('HDEL', KEYS[1], ARGV[i])
  if is_ours == 1 then
    redis.call('ZREM', KEYS[2], ARGV[i])
    if ARGV[i + 1] ~= '' then redis.call('DEL', ARGV[i + 1]) end
    ours[#ours + 1] = tag
  else
    last = last or redis.call('GET', KEYS[3]) or ''
    if string.find(last, tag, 1, true) then is_ours = 1 end
  end
  answers[#answers + 1] = is_ours
end
if #ours > 0 then redis.call('SET', KEYS[3], table.concat(ours), 'EX', 86400) end
return answers
