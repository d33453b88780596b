-- Of each queue: its name, how many tasks it has in each state, in the order in which a task goes through them, and for how
-- many ms its oldest one has been due: '' if none is.
local tallies, at = {}, now()
-- How many of those that are due are looked at one by one.
local LATE = 1000
for _, queue in ipairs(call('SMEMBERS', P .. '#queues')) do
  local q = of_queue(queue)
  local parked = 0
  local oldest
  local function older(id)
    local due = id and tonumber(call('HGET', q .. id, '#due') or '')
    if due and due <= at and (not oldest or due < oldest) then oldest = due end
  end
  for _, name in ipairs(call('SMEMBERS', q .. '#parked')) do
    parked = parked + call('ZCARD', q .. '#parked:' .. name)
    older(call('ZRANGE', q .. '#parked:' .. name, 0, 0)[1])
  end
  local delayed = call('ZCARD', q .. 'delayed')
  -- Due, and not noticed by a worker yet.
  local overdue = call('ZCOUNT', q .. 'delayed', '-inf', at * 0x1000)
  local late = 0
  for _, id in ipairs(call('ZRANGEBYSCORE', q .. 'delayed', '-inf', at * 0x1000, 'LIMIT', 0, LATE)) do
    if call('HGET', q .. id, '#w') == 'r' then late = late + 1 end
  end
  overdue = overdue - late
  local retrying = call('ZCOUNT', q .. '#retrying', '(' .. at, '+inf') + late
  older(call('LINDEX', q .. 'wait', -1))
  older(call('ZRANGE', q .. 'delayed', 0, 0)[1])
  for priority = 1, 4 do older(call('ZRANGEBYSCORE', q .. 'prioritized', priority * 0x100000000, '(' .. (priority + 1) * 0x100000000, 'LIMIT', 0, 1)[1]) end
  local cancelled = call('ZCARD', q .. '#cancelled')
  tallies[#tallies + 1] = {queue, {delayed - retrying - parked - overdue,
    call('LLEN', q .. 'wait') + call('ZCARD', q .. 'prioritized') + parked + overdue,
    call('LLEN', q .. 'active'), retrying, call('ZCARD', q .. 'completed'), call('ZCARD', q .. 'failed') - cancelled, cancelled},
    oldest and at - oldest or ''}
end
return tallies
