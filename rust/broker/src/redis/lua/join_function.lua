-- A join is kept as the incarnation of its owner (16 characters), the length of its token, ':', the token, the record.
local function token_of(join)
  local length, rest = string.match(join, '^(%d+):()', 17)
  return string.sub(join, rest, rest + length - 1)
end
