-- Keeps the latest progress of a task, if its worker still has it: queue, id, token, what is kept, and what is told.
local queue, id, token, kept, told = unpack(ARGV)
local q = of_queue(queue)
if call('GET', q .. id .. ':lock') ~= token then return 0 end
call('HSET', q .. id, 'progress', kept)
event(q, 'event', 'progress', 'jobId', id, 'data', kept)
tell(told)
return 1
