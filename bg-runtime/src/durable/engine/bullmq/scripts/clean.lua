-- Forgets what has been kept for long enough: for how long completed and cancelled ones, and dead ones, are kept, in ms,
-- how many completed ones of a queue at most, and how many are forgotten at once. Returns how many it has forgotten.
local completed, dead, most, at_once = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local at, gone = now(), 0
local function forget(queue, set, ids)
  local q = of_queue(queue)
  for _, id in ipairs(ids) do
    for _, other in ipairs({'completed', 'failed', '#cancelled', '#untold'}) do call('ZREM', q .. other, id) end
    call('ZREM', P .. '#rows', queue .. ':' .. id)
    call('UNLINK', q .. id, q .. id .. ':logs')
    gone = gone + 1
  end
end
for _, queue in ipairs(call('SMEMBERS', P .. '#queues')) do
  local q = of_queue(queue)
  forget(queue, 'completed', call('ZRANGEBYSCORE', q .. 'completed', '-inf', at - completed, 'LIMIT', 0, at_once - gone))
  local over = call('ZCARD', q .. 'completed') - most
  if over > 0 and gone < at_once then forget(queue, 'completed', call('ZRANGE', q .. 'completed', 0, math.min(over, at_once - gone) - 1)) end
  forget(queue, 'failed', call('ZRANGEBYSCORE', q .. '#cancelled', '-inf', at - completed, 'LIMIT', 0, at_once - gone))
  forget(queue, 'failed', call('ZRANGEBYSCORE', q .. 'failed', '-inf', at - dead, 'LIMIT', 0, at_once - gone))
end
return gone
