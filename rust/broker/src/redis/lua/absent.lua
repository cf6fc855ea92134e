-- Which registered incarnations have no heartbeat.  KEYS 1 owners   ARGV 1 prefix of heartbeat keys  2 our own
local absent = {}
for _, owner in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if owner ~= ARGV[2] and redis.call('EXISTS', ARGV[1] .. owner) == 0 then absent[#absent + 1] = owner end
end
return absent
