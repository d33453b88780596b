-- What a worker says of a task, if it still has it: queue, id, token, verdict, text, wait in ms. Returns 1, or 0 if
-- another worker, or none, has the task.
local queue, id, token, verdict, text, pause = unpack(ARGV)
local q = of_queue(queue)
local job = q .. id
if call('GET', job .. ':lock') ~= token then return 0 end
call('DEL', job .. ':lock')
call('SREM', q .. 'stalled', id)
call('LREM', q .. 'active', -1, id)
local at = now()
-- Something may have deleted it: what is written now would be a task without a name.
if verdict == 'gone' or call('HEXISTS', job, 'name') == 0 then
  call('DEL', job)
elseif verdict == 'completed' then
  finish(q, id, 'completed', at)
elseif call('HGET', job, '#c') then
  note(job, entry(job, at, CANCELLED))
  finish(q, id, 'cancelled', at, CANCELLED)
elseif verdict == 'retry' then
  note(job, entry(job, at, text))
  call('HINCRBY', job, 'atm', 1)
  call('HSET', job, 'failedReason', text, '#due', at + pause)
  call('ZADD', q .. '#retrying', at + pause, id)
  delay(q, id, at + pause, 'r')
elseif verdict == 'dead' then
  note(job, entry(job, at, text))
  call('HINCRBY', job, 'atm', 1)
  finish(q, id, 'failed', at, text)
elseif verdict == 'cancelled' then
  note(job, entry(job, at, text))
  finish(q, id, 'cancelled', at, text)
elseif verdict == 'parked' then
  -- It was not for this worker, which has not begun it: `text` is its name.
  call('HINCRBY', job, 'ats', -1)
  call('HDEL', job, 'pb', 'processedOn')
  call('ZADD', q .. '#parked:' .. text, call('HGET', job, '#row') or 0, id)
  call('SADD', q .. '#parked', text)
  delay(q, id, at + 36500 * 86400000, 'k')
  call('PUBLISH', P .. '#orders', 'k' .. queue .. ':' .. text)
else
  if verdict == 'unreadable' then call('HSET', job, '#u', entry(job, at, text)) end
  call('HSET', job, '#due', at + pause)
  if tonumber(pause) > 0 then delay(q, id, at + pause) else wait(q, id, true) end
end
return 1
