-- Obeys for each of these, given as queue:id behind the order. Returns of each: 'done', 'told', 'late' or 'unknown'.
local order, done = ARGV[1], {}
local function in_list(key, id) return call('LPOS', key, id) end
for each = 2, #ARGV do
  local queue, id = string.match(ARGV[each], '^(.*):(.*)$')
  if queue == '' then
    for _, other in ipairs(call('SMEMBERS', P .. '#queues')) do
      if call('EXISTS', P .. other .. ':' .. id) == 1 then queue = other end
    end
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
        local name = call('HGET', job, 'name')
        call('ZREM', q .. '#parked:' .. name, id)
      elseif call('ZREM', q .. 'prioritized', id) == 0 then call('LREM', q .. 'wait', 1, id) end
    end
    if order == 'cancel' then
      if runs then
        call('HSET', job, '#c', 1)
        call('PUBLISH', P .. '#orders', 'c' .. id)
        answer = 'told'
      elseif not is_final then
        leave()
        finish(q, id, 'cancelled', now(), CANCELLED)
        answer = 'done'
      end
    elseif order == 'retry' then
      local is_retrying = is_delayed and call('HGET', job, '#w') == 'r'
      local slot = is_final and call('HGET', job, 'deid')
      local is_free = true
      if slot then
        for _, other in ipairs(call('SMEMBERS', P .. '#queues')) do
          if call('EXISTS', P .. other .. ':de:' .. slot) == 1 then is_free = false end
        end
      end
      if is_free and (is_final or is_retrying) then
        if is_final then
          for _, set in ipairs({'completed', 'failed', '#cancelled', '#untold'}) do call('ZREM', q .. set, id) end
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
      if is_final then
        for _, set in ipairs({'completed', 'failed', '#cancelled', '#untold'}) do call('ZREM', q .. set, id) end
      else leave() end
      free(q, id)
      call('ZREM', P .. '#rows', queue .. ':' .. id)
      call('DEL', job, job .. ':logs')
      tell('e' .. id)
      answer = 'done'
    end
  end
  done[#done + 1] = answer
end
return done
