-- Obeys for each of these, given as queue:id, newest first, behind the order and the places at which the one before has
-- left off. Returns of each: 'done', 'told', 'late' or 'unknown', and the places at which this one has.
local order, places, done = ARGV[1], cjson.decode(ARGV[2]), {}
local function in_list(key, id) return call('LPOS', key, id) end
-- Redis looks for each through all that were stored later and stay. So they are found together, from where the last ones
-- were, and taken out together.
local STEP, FAR, GONE = 500, 5000, '#gone'
local is_out, by_queue = {}, {}
for each = 3, order == 'retry' and 0 or #ARGV do
  local queue, id = split(ARGV[each])
  if queue ~= '' then
    by_queue[queue] = by_queue[queue] or {count = 0, ids = {}}
    by_queue[queue].ids[id], by_queue[queue].count = true, by_queue[queue].count + 1
  end
end
for queue, meant in pairs(by_queue) do
  local list, from, found, last = of_queue(queue) .. 'wait', places[queue] or 0, 0, 0
  for place = from, from + FAR - 1, STEP do
    local some = call('LRANGE', list, place, place + STEP - 1)
    for at, id in ipairs(some) do
      if meant.ids[id] then
        last, found = place + at - 1, found + 1
        call('LSET', list, last, GONE)
        is_out[queue .. ':' .. id] = true
      end
    end
    if #some < STEP or found == meant.count then break end
  end
  if found > 0 then
    call('LREM', list, found, GONE)
    places[queue] = last - found + 1
  end
end
for each = 3, #ARGV do
  local queue, id = split(ARGV[each])
  if queue == '' then
    queue, id = find(id)
    queue, id = queue or '', id or ''
  end
  local q = of_queue(queue)
  local job = q .. id
  local answer = 'late'
  if queue == '' or call('HEXISTS', job, 'name') == 0 then
    answer = 'unknown'
  else
    local is_final = call('HEXISTS', job, 'finishedOn') == 1
    local is_delayed = call('ZSCORE', q .. 'delayed', id)
    local runs = not is_final and not is_delayed and (call('EXISTS', job .. ':lock') == 1 or in_list(q .. 'active', id))
    local function leave()
      if is_delayed then
        call('ZREM', q .. 'delayed', id)
        call('ZREM', q .. '#retrying', id)
        local name = call('HGET', job, 'name')
        call('ZREM', q .. '#parked:' .. name, id)
      elseif not is_out[ARGV[each]] and call('ZREM', q .. 'prioritized', id) == 0 then call('LREM', q .. 'wait', 1, id) end
    end
    if order == 'cancel' then
      if runs then
        call('HSET', job, '#c', 1)
        call('PUBLISH', P .. '#orders', 'c' .. task(job, id))
        answer = 'told'
      elseif not is_final then
        leave()
        finish(q, id, 'cancelled', now(), CANCELLED)
        answer = 'done'
      end
    elseif order == 'retry' then
      local is_retrying = is_delayed and call('HGET', job, '#w') == 'r'
      local slot = is_final and call('HGET', job, 'deid')
      local is_free = not (slot and holder(call('SMEMBERS', P .. '#queues'), slot))
      if is_free and (is_final or is_retrying) then
        if is_final then
          for _, set in ipairs(FINAL) do call('ZREM', q .. set, id) end
          call('HDEL', job, 'finishedOn', 'failedReason', 'returnvalue', '#c')
          call('HSET', job, 'atm', 0, 'stc', 0)
          if slot then call('SET', q .. 'de:' .. slot, id) end
        else
          leave()
        end
        call('HSET', job, '#due', now())
        wait(q, id)
        answer = 'done'
      end
    elseif order == 'delete' and not runs then
      if not is_final then leave() end
      free(q, id)
      tell('e' .. task(job, id))
      forget(queue, id)
      answer = 'done'
    end
  end
  done[#done + 1] = answer
end
return {done, next(places) and cjson.encode(places) or '{}'}
