-- Whether a stored document says SUCCESS. Celery writes `{"status": "SUCCESS", …}`; a pickled one has both words near
-- its front. The plain search comes first because nearly no document that is overwritten has the word at all.
local function is_success(doc)
  if not doc or not string.find(doc, 'SUCCESS', 1, true) then return false end
  if string.find(doc, '^%s*{') then
    local ok, fields = pcall(cjson.decode, doc)
    if ok then return type(fields) == 'table' and fields.status == 'SUCCESS' end
    return string.find(doc, '^%s*{%s*"status"%s*:%s*"SUCCESS"') ~= nil
  end
  return string.find(string.sub(doc, 1, 64), 'SUCCESS', 1, true) ~= nil
end

-- Stores and announces a document, unless it would replace a SUCCESS by something else. ttl: seconds, '' for ever.
local function store(key, doc, ttl, success)
  if success ~= '1' and is_success(redis.call('GET', key)) then return end
  if ttl == '' then
    redis.call('SET', key, doc)
  else
    redis.call('SET', key, doc, 'EX', ttl)
  end
  redis.call('PUBLISH', key, doc)
end
