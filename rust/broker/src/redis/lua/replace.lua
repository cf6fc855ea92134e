-- Stores a document in the place of the one that was seen. Returns 0 when another is there.
-- KEYS 1 result key   ARGV 1 document  2 ttl  3 '1' when it is a SUCCESS  4 '1' when one was seen  5 the one seen
if not is_unchanged(KEYS[1], ARGV[4], ARGV[5]) then return 0 end
store(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return 1
