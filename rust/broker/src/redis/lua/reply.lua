-- Puts a reply into the mailbox that is bound by this routing key, if it still is.
--
-- KEYS 1 binding table   ARGV 1 routing key  2 separator  3 prefix of keys  4 message  5 ms that an unread reply is kept
-- A row of the table is <routing key><separator><pattern><separator><queue>.
local start = ARGV[1] .. ARGV[2]
for _, row in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if string.sub(row, 1, #start) == start then
    local _, stop = string.find(row, ARGV[2], #start + 1, true)
    if stop then
      local list = ARGV[3] .. string.sub(row, stop + 1)
      redis.call('LPUSH', list, ARGV[4])
      -- Its owner deletes the list when it has waited long enough; a reply that comes just then stays for nobody.
      redis.call('PEXPIRE', list, ARGV[5])
      return 1
    end
  end
end
return 0
