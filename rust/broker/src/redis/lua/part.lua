-- Counts one member of a chord.
-- KEYS 1 parts  2 added  3 size  4 counted  5 group  6 claim  7 failed
-- ARGV 1 task id  2 place  3 part  4 '1' for a sorted set  5 ttl or ''  6 token  7 failures borne or ''
--      8 seconds of the claim
if add_part(KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], unpack(ARGV)) then return 1 end
return 0
