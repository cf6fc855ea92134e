-- Counts one member of a chord as Celery 5.7 does, under its keys; members that Celery's own workers end are counted by
-- them. True for the one that completes the chord, which is then claimed by `token`, and for that one only; again when
-- it comes again, until the chord is done. bears: of a failure, with how many of them the chord still waits for the others;
-- '' for all others. claim: seconds that it is claimed among workers of ours, under `ours`, while nothing vouches for the join:
-- Celery's workers do not see that, so that one of them that is given the member next joins the chord. '' claims it for ever,
-- and what is known of the chord with it.
local function add_part(j, t, s, d, group, c, f, task_id, place, doc, is_ordered, ttl, token, bears, claim, ours)
  local claimed = redis.call('GET', c)
  if claimed == 'done' then return false end
  -- The place belongs to the member's name: a header may hold one signature, with one id, twice.
  if redis.call('SADD', d, task_id .. ':' .. place) == 1 then
    if is_ordered == '1' then redis.call('ZADD', j, place, doc) else redis.call('RPUSH', j, doc) end
    if bears ~= '' then redis.call('INCR', f) end
  end
  if ttl ~= '' then
    for _, key in ipairs({j, t, s, d, group, f}) do redis.call('EXPIRE', key, ttl) end
  end
  if claimed and claimed ~= token then return false end
  if bears == '' or tonumber(redis.call('GET', f) or 0) <= tonumber(bears) then
    local size = redis.call('GET', s)
    if not size then return false end
    local count = is_ordered == '1' and redis.call('ZCARD', j) or redis.call('LLEN', j)
    if count < tonumber(size) + tonumber(redis.call('GET', t) or 0) then return false end
  end
  if claim ~= '' then
    local owner = redis.call('GET', ours)
    if owner and owner ~= token then return false end
    redis.call('SET', ours, token, 'EX', claim)
  else
    redis.call('SET', c, token)
    for _, key in ipairs({j, t, s, d, f}) do redis.call('PERSIST', key) end
  end
  return true
end
