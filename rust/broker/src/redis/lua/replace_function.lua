-- Whether what is stored is still what was seen; has_seen is '' when nothing was there.
local function is_unchanged(key, has_seen, seen)
  local found = redis.call('GET', key)
  if has_seen == '' then return not found end
  return found == seen
end
