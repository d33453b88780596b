-- Takes tasks back whose worker is lost: how often that may happen to one, and for how long nobody has looked, in ms.
-- Returns the names of those that were taken back.
local MOST, taken = tonumber(ARGV[1]), {}
local at, LOST = now(), 'lost: its worker was lost'
-- Workers may have leases of different lengths: each says for itself how old the last look may be.
local last = tonumber(call('GET', P .. '#rescue') or '')
if last and last <= at and at - last < tonumber(ARGV[2]) then return taken end
call('SET', P .. '#rescue', at)
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
