-- A part of the list, newest first: the row to begin behind or '+inf', how many rows to look at, how many to return at
-- most, then state, name, begin of a name, queue, key; each '' where it does not matter; '1' to leave out the fields; and
-- an id, of the only one that is meant, or ''. Returns the last row that was looked at, '' if it was the last of all, and of each that was found its queue, id,
-- state and fields.
local after, rows, most, state, name, begin, queue, key, brief, one = unpack(ARGV)
local found, last, at = {}, '', now()
local members
if one ~= '' then
  members = {}
  local of, id = find(one)
  local row = after == '+inf' and of and call('HGET', of_queue(of) .. id, '#row')
  if row then members = {of .. ':' .. id, row} end
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
if #members < 2 * tonumber(rows) and #found < tonumber(most) then last = '' end
return {last, found}
