-- KEYS 1 result key   ARGV 1 document  2 ttl  3 '1' when it is a SUCCESS
store(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return 1
