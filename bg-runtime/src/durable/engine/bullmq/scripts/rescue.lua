-- Takes tasks back whose worker is lost: how often that may happen to one, and for how long nobody else looks, in ms,
-- Returns the names of those that were taken back.
local MOST, taken = tonumber(ARGV[1]), {}
if not call('SET', P .. '#rescue', 1, 'NX', 'PX', ARGV[2]) then return taken end
local at, LOST = now(), 'lost: its worker was lost'
for _, queue in ipairs(call('SMEMBERS', P .. '#queues')) do
  local q = of_queue(queue)
  for _, id in ipairs(call('LRANGE', q .. 'active', 0, -1)) do
    local job = q .. id
    if call('EXISTS', job .. ':lock') == 0 then
      call('LREM', q .. 'active', -1, id)
      call('SREM', q .. 'stalled', id)
      if call('HEXISTS', job, 'name') == 0 then
        call('DEL', job)
      else
        local losses = call('HINCRBY', job, 'stc', 1)
        note(job, entry(job, at, LOST))
        call('HSET', job, 'failedReason', LOST, '#due', at)
        event(q, 'event', 'stalled', 'jobId', id)
        if call('HGET', job, '#c') then finish(q, id, 'cancelled', at, CANCELLED)
        elseif losses > MOST then finish(q, id, 'failed', at, LOST)
        else wait(q, id, true) end
        taken[#taken + 1] = call('HGET', job, 'name')
      end
    end
  end
end
return taken
