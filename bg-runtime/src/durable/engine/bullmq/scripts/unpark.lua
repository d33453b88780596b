-- Has tasks wait again that were parked because no worker knew their names: a queue, how many at most, then the names that
-- are known. Returns how many.
local queue, most, freed = ARGV[1], tonumber(ARGV[2]), 0
local q = of_queue(queue)
local names = call('SMEMBERS', q .. '#parked')
if #names == 0 then return 0 end
local known = {}
for each = 3, #ARGV do known[ARGV[each]] = true end
for _, name in ipairs(names) do
  local parked = q .. '#parked:' .. name
  if known[name] then
    for _, id in ipairs(call('ZRANGE', parked, 0, most - freed - 1)) do
      call('ZREM', parked, id)
      if call('ZREM', q .. 'delayed', id) == 1 then
        wait(q, id, true)
        freed = freed + 1
      end
    end
    if freed >= most then break end
  end
  if call('EXISTS', parked) == 0 then call('SREM', q .. '#parked', name) end
end
return freed
