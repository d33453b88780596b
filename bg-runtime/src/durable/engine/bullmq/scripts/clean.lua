-- Forgets what has been kept for long enough: for how long completed and cancelled ones, and dead ones, are kept, in ms,
-- how many completed ones of a queue at most, and how many are forgotten at once. Returns how many it has forgotten.
local completed, dead, most, at_once = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local at, gone = now(), 0
-- How many dead ones are looked for behind those that were cancelled, and are kept for longer.
local FAR = 20 * at_once
local SOME = 20
local function old(set, keep, from) return call('ZRANGEBYSCORE', set, '-inf', at - keep, 'LIMIT', from or 0, at_once) end
for _, queue in ipairs(call('SMEMBERS', P .. '#queues')) do
  local q = of_queue(queue)
  local function drop(id)
    if gone >= at_once then return end
    forget(queue, id)
    gone = gone + 1
  end
  for _, id in ipairs(old(q .. 'completed', completed)) do drop(id) end
  local over = math.min(call('ZCARD', q .. 'completed') - most, at_once - gone)
  if over > 0 then
    for _, id in ipairs(call('ZRANGE', q .. 'completed', 0, over - 1)) do drop(id) end
  end
  for _, id in ipairs(old(q .. '#cancelled', completed)) do
    -- Another client may have had it run again.
    if call('ZSCORE', q .. 'failed', id) then drop(id) else call('ZREM', q .. '#cancelled', id) end
  end
  -- Some at a time: counts are of the set of ours.
  for _, id in ipairs(call('ZRANDMEMBER', q .. '#cancelled', SOME)) do
    if not call('ZSCORE', q .. 'failed', id) then call('ZREM', q .. '#cancelled', id) end
  end
  local from = 0
  repeat
    local ids = old(q .. 'failed', dead, from)
    for _, id in ipairs(ids) do
      if call('ZSCORE', q .. '#cancelled', id) then from = from + 1 else drop(id) end
    end
  until #ids < at_once or gone >= at_once or from >= FAR
  -- BullMQ takes them out of its own set when they are due.
  for _, id in ipairs(old(q .. '#retrying', 0)) do
    if not call('ZSCORE', q .. 'delayed', id) then call('ZREM', q .. '#retrying', id) end
  end
end
-- Other clients remove tasks as well, which leave what is ours. Some at a time, as there are few.
for _, member in ipairs(call('ZRANDMEMBER', P .. '#rows', SOME)) do
  if call('EXISTS', P .. member) == 0 then call('ZREM', P .. '#rows', member) end
end
if call('EXISTS', P .. '#others') == 1 then
  for _, name in ipairs(call('HRANDFIELD', P .. '#others', SOME)) do
    if call('EXISTS', P .. call('HGET', P .. '#others', name)) == 0 then call('HDEL', P .. '#others', name) end
  end
end
return gone
