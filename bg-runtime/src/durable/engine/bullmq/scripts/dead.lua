-- Claims the telling of deaths: how many at most, and for how long nobody else is given them, in ms. Returns of each
-- its queue, id and fields, oldest first. With 'told' instead, ids follow of whose death somebody was told.
local found, at = {}, now()
local queues = call('SMEMBERS', P .. '#queues')
if ARGV[1] == 'told' then
  for each = 2, #ARGV do
    local queue, id = find(ARGV[each])
    if queue then call('ZREM', of_queue(queue) .. '#untold', id) end
  end
  return found
end
for _, queue in ipairs(queues) do
  local q = of_queue(queue)
  for _, id in ipairs(call('ZRANGEBYSCORE', q .. '#untold', '-inf', at, 'LIMIT', 0, tonumber(ARGV[1]) - #found)) do
    if call('ZSCORE', q .. 'failed', id) then
      call('ZADD', q .. '#untold', at + ARGV[2], id)
      found[#found + 1] = {queue, id, call('HGETALL', q .. id)}
    else
      call('ZREM', q .. '#untold', id)
    end
  end
end
return found
