-- Has tasks wait again that were parked because no worker knew their names: a queue, how many at most, then the names that
-- are known. Returns how many, and 1 if there are more.
local queue, most, freed, more = ARGV[1], tonumber(ARGV[2]), 0, 0
local q = of_queue(queue)
-- What others have stored there is found as well.
call('SADD', P .. '#queues', queue)
local names = call('SMEMBERS', q .. '#parked')
if #names == 0 then return {0, 0} end
local known, found = {}, {}
for each = 3, #ARGV do known[ARGV[each]] = true end
for _, name in ipairs(names) do
  local parked = q .. '#parked:' .. name
  if known[name] then
    local some = call('ZRANGE', parked, 0, most - 1, 'WITHSCORES')
    for each = 1, #some, 2 do found[#found + 1] = {some[each], tonumber(some[each + 1]), parked} end
  end
end
table.sort(found, function(one, other) return one[2] < other[2] end)
-- Each goes before the one before it, and so the oldest last.
for each = math.min(most, #found), 1, -1 do
  local id, _, parked = unpack(found[each])
  call('ZREM', parked, id)
  if call('ZREM', q .. 'delayed', id) == 1 then
    wait(q, id, true)
    freed = freed + 1
  end
end
for _, name in ipairs(names) do
  if call('EXISTS', q .. '#parked:' .. name) == 0 then call('SREM', q .. '#parked', name) elseif known[name] then more = 1 end
end
return {freed, more}
