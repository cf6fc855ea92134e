-- Counts one member of a chord.
-- KEYS 1 parts  2 added  3 size  4 counted  5 group  6 claim  7 failed  8 claim among ours
-- ARGV 1 task id  2 place  3 part  4 '1' for a sorted set  5 ttl or ''  6 token  7 failures borne or ''
--      8 seconds of the claim
if add_part(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5],
    ARGV[6], ARGV[7], ARGV[8], KEYS[8]) then
  return 1
end
return 0
