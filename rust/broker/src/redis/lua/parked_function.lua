-- A parked tag is fwp:<bytes of id>:<id>:<incarnation>:<fetch>:<i>:<tail length>:<list>: those of one id stand together
-- in the order of names. Returns tail length and list; nil for a name of another form.
local function home_of(tag)
  local length, at = string.match(tag, '^fwp:(%d+):()')
  if not length then return nil end
  return string.match(string.sub(tag, at + length), '^:[^:]*:[^:]*:[^:]*:(%d+):(.*)$')
end
