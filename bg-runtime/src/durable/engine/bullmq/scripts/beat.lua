-- Says what is still worked on: the lease in ms, then queue, id and token of each. Returns the places of those that others
-- have, and of those that somebody has cancelled.
local lost, cancelled = {}, {}
for first = 2, #ARGV, 3 do
  local place = (first - 2) / 3
  local queue, id, token = unpack(ARGV, first, first + 2)
  local q = of_queue(queue)
  if call('GET', q .. id .. ':lock') == token then
    call('PEXPIRE', q .. id .. ':lock', ARGV[1])
    call('SREM', q .. 'stalled', id)
    if call('HEXISTS', q .. id, '#c') == 1 then cancelled[#cancelled + 1] = place end
  else
    lost[#lost + 1] = place
  end
end
return {lost, cancelled}
