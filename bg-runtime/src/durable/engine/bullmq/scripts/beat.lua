-- Says what is still worked on: the lease in ms, the name of the worker, then queue, id and token of each. Returns the places of those that others
-- have, and of those that somebody has cancelled.
local lost, cancelled = {}, {}
-- Whoever claims says so, and whoever takes back what is lost leaves nothing: if Redis was away for a lease, the worker that
-- is back first goes on.
local function is_left(q, id)
  return call('EXISTS', q .. id .. ':lock') == 0 and call('HGET', q .. id, 'pb') == ARGV[2] and call('LPOS', q .. 'active', id)
end
for first = 3, #ARGV, 3 do
  local place = (first - 3) / 3
  local queue, id, token = unpack(ARGV, first, first + 2)
  local q = of_queue(queue)
  if call('GET', q .. id .. ':lock') == token then
    call('PEXPIRE', q .. id .. ':lock', ARGV[1])
    call('SREM', q .. 'stalled', id)
    if call('HEXISTS', q .. id, '#c') == 1 then cancelled[#cancelled + 1] = place end
  elseif is_left(q, id) then
    call('SET', q .. id .. ':lock', token, 'PX', ARGV[1])
    if call('HEXISTS', q .. id, '#c') == 1 then cancelled[#cancelled + 1] = place end
  else
    lost[#lost + 1] = place
  end
end
return {lost, cancelled}
