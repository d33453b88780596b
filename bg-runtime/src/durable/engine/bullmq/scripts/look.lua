-- A part of the list, newest first: the row to begin behind or '+inf', how many rows to look at, how many to return at
-- most, then state, name, begin of a name, queue, key; each '' where it does not matter; '1' to leave out the fields; and
-- an id, of the only one that is meant, or ''. Returns the last row that was looked at, '' if it was the last of all, and of each that was found its queue, id,
-- state and fields.
local after, rows, most, state, name, begin, queue, key, brief, one = unpack(ARGV)
local found, last, at = {}, '', now()
-- Where few are in the state that is meant, the rows of the others are not looked at.
local FEW = 10000
local SETS = {completed = 'completed', dead = 'failed', cancelled = '#cancelled', retrying = '#retrying', scheduled = 'delayed'}
local function of_state()
  local queues, sum = queue == '' and call('SMEMBERS', P .. '#queues') or {queue}, 0
  if state ~= 'running' and not SETS[state] then return end
  for _, of in ipairs(queues) do
    sum = sum + (state == 'running' and call('LLEN', of_queue(of) .. 'active') or call('ZCARD', of_queue(of) .. SETS[state]))
  end
  if sum > FEW then return end
  local some, members = {}, {}
  for _, of in ipairs(queues) do
    local q = of_queue(of)
    for _, id in ipairs(state == 'running' and call('LRANGE', q .. 'active', 0, -1) or call('ZRANGE', q .. SETS[state], 0, -1)) do
      local row = tonumber(call('HGET', q .. id, '#row') or '')
      if row and (after == '+inf' or row < tonumber(after)) then some[#some + 1] = {of .. ':' .. id, row} end
    end
  end
  table.sort(some, function(this, other) return this[2] > other[2] end)
  for each, member in ipairs(some) do members[2 * each - 1], members[2 * each] = member[1], tostring(member[2]) end
  return members
end
local members
local few = one == '' and of_state()
if one ~= '' then
  members = {}
  local of, id = find(one)
  local row = after == '+inf' and of and call('HGET', of_queue(of) .. id, '#row')
  if row then members = {of .. ':' .. id, row} end
elseif few then
  members = few
else
  members = call('ZREVRANGEBYSCORE', P .. '#rows', after == '+inf' and after or '(' .. after, '-inf', 'WITHSCORES', 'LIMIT', 0, rows)
end
for each = 1, #members, 2 do
  if #found >= tonumber(most) then break end
  last = members[each + 1]
  local of, id = split(members[each])
  if queue == '' or queue == of then
    local q = of_queue(of)
    local job = q .. id
    local got = call('HMGET', job, 'name', '#key', 'finishedOn', '#w', '#due')
    if not got[1] then
      call('ZREM', P .. '#rows', members[each])
    elseif (name == '' or name == got[1]) and (begin == '' or string.sub(got[1], 1, #begin) == begin) and (key == '' or key == got[2]) then
      local is, due = 'waiting', got[5]
      if got[3] then
        is = call('ZSCORE', q .. 'completed', id) and 'completed' or call('ZSCORE', q .. '#cancelled', id) and 'cancelled' or 'dead'
      else
        local score = call('ZSCORE', q .. 'delayed', id)
        if score and got[4] == 'r' then is = 'retrying'
        elseif score and got[4] ~= 'k' and score / 0x1000 > at then is = 'scheduled'
        elseif not score and (call('EXISTS', job .. ':lock') == 1 or call('LPOS', q .. 'active', id)) then is = 'running' end
      end
      if state == '' or state == is then found[#found + 1] = {of, id, is, brief == '1' and {} or call('HGETALL', job)} end
    end
  end
end
if (few or #members < 2 * tonumber(rows)) and #found < tonumber(most) then last = '' end
return {last, found}
