-- What runs and has a lock for less than so many ms, or none any more: its worker, its name and how many, 20 at most.
local found, at, MOST = {}, {}, 20
for _, queue in ipairs(call('SMEMBERS', P .. '#queues')) do
  local q = of_queue(queue)
  for _, id in ipairs(call('LRANGE', q .. 'active', 0, -1)) do
    if call('PTTL', q .. id .. ':lock') < tonumber(ARGV[1]) then
      local worker, name = unpack(call('HMGET', q .. id, 'pb', 'name'))
      if name then
        local row = (worker or '') .. '\0' .. name
        if at[row] then
          found[at[row]][3] = found[at[row]][3] + 1
        elseif #found < MOST then
          found[#found + 1] = {worker or '', name, 1}
          at[row] = #found
        end
      end
    end
  end
end
return found
