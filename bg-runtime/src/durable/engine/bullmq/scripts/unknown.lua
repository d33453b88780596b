-- The names of tasks that have not ended and that are none of those in ARGV, each with how many there are: of those that a
-- worker did not know, and of the newest ones, which none may have looked at.
local NEWEST = 1000
local known, counts = {}, {}
for _, name in ipairs(ARGV) do known[name] = true end
for _, queue in ipairs(call('SMEMBERS', P .. '#queues')) do
  local q = of_queue(queue)
  for _, name in ipairs(call('SMEMBERS', q .. '#parked')) do
    if not known[name] then
      local parked = call('ZCARD', q .. '#parked:' .. name)
      if parked > 0 then counts[name] = (counts[name] or 0) + parked end
    end
  end
end
for _, member in ipairs(call('ZREVRANGE', P .. '#rows', 0, NEWEST - 1)) do
  local got = call('HMGET', P .. member, 'name', 'finishedOn')
  if got[1] and not got[2] and not known[got[1]] then
    local queue, id = split(member)
    if not call('ZSCORE', of_queue(queue) .. '#parked:' .. got[1], id) then counts[got[1]] = (counts[got[1]] or 0) + 1 end
  end
end
local found = {}
for name, count in pairs(counts) do found[#found + 1] = {name, count} end
return found
