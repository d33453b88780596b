-- Has tasks that are scheduled be due at a time, in ms, or now if that is ''; one that waits is put off only where
-- ARGV[2] is '1'. Behind that, their ids. Returns how many it has found.
local due, waiting_too, moved = ARGV[1], ARGV[2] == '1', 0
local queues = call('SMEMBERS', P .. '#queues')
for each = 3, #ARGV do
  local id = ARGV[each]
  for _, queue in ipairs(queues) do
    local q = of_queue(queue)
    if call('HEXISTS', q .. id, 'name') == 1 then
      local why = call('HGET', q .. id, '#w')
      local was = not why and call('ZREM', q .. 'delayed', id) == 1
      if not was and waiting_too and not why and call('HEXISTS', q .. id, 'finishedOn') == 0 and call('EXISTS', q .. id .. ':lock') == 0 then
        was = call('ZREM', q .. 'prioritized', id) == 1 or call('LREM', q .. 'wait', 1, id) == 1
      end
      if was then
        moved = moved + 1
        call('HSET', q .. id, '#due', due == '' and now() or due)
        if due == '' then wait(q, id) else delay(q, id, tonumber(due)) end
      end
    end
  end
end
return moved
