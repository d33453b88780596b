-- What does not travel with a claim: queue and id, and what the task is called. Returns its data, how often it has lost its
-- worker, and 1 if somebody has cancelled it. What another client has stored is found from now on as others are.
local queue, id, name = unpack(ARGV)
local job = of_queue(queue) .. id
local got = call('HMGET', job, 'name', 'data', 'stc', '#c', '#row', 'timestamp')
if got[1] and not got[5] then
  local row = call('INCR', P .. '#row')
  call('HSET', job, '#row', row, '#id', name, '#due', got[6] or now())
  call('ZADD', P .. '#rows', row, queue .. ':' .. id)
  call('HSET', P .. '#others', name, queue .. ':' .. id)
  call('SADD', P .. '#queues', queue)
end
return {got[2] or '', tonumber(got[3] or 0), got[4] and 1 or 0}
