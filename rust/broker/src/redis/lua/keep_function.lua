-- Keeps the parts of a chord that ends under another key, for so many seconds; '': they go with it.
local function keep_parts(parts, kept, seconds)
  if seconds == '' or redis.call('EXISTS', parts) == 0 then return end
  redis.call('RENAME', parts, kept)
  redis.call('EXPIRE', kept, seconds)
end
