-- Stores all of them, or none. Of each: id, name, queue, data, opts, priority, due, key, then the unique value, its
-- slots, its period, and the slot to begin with. Returns of each '' or the id of the task that has the unique value.
local FIELDS = 12
local at = now()
local kept = {}
local queues = call('SMEMBERS', P .. '#queues')
local known = {}
for _, queue in ipairs(queues) do known[queue] = true end
-- An error behind the first write would leave a part of it.
local kinds = {wait = 'list', prioritized = 'zset', delayed = 'zset', marker = 'zset', events = 'stream', meta = 'hash', pc = 'string'}
local checked = {}
for first = 1, #ARGV, FIELDS do
  local queue = ARGV[first + 2]
  for key, kind in pairs(checked[queue] and {} or kinds) do
    local is = call('TYPE', of_queue(queue) .. key).ok
    if is ~= 'none' and is ~= kind then return redis.error_reply('WRONGTYPE ' .. of_queue(queue) .. key .. ' is a ' .. is) end
  end
  checked[queue] = true
end
for first = 1, #ARGV, FIELDS do
  local id, name, queue, data, opts, priority, due, key = unpack(ARGV, first, first + 7)
  local value, slots, period, from = unpack(ARGV, first + 8, first + 11)
  local q, taken, slot = of_queue(queue), '', nil
  local job = q .. id
  if value ~= '' then
    slots, from = tonumber(slots), tonumber(from)
    for try = 0, slots - 1 do
      local this = ((from + try) % slots) .. ':' .. value
      local has = call('GET', P .. '#young:' .. this) or holder(queues, this)
      if not has then slot = this break end
      taken = has
    end
  end
  if call('EXISTS', job) == 1 then
    kept[#kept + 1] = ''
  elseif value ~= '' and not slot then
    kept[#kept + 1] = taken
  else
    if not known[queue] then
      known[queue] = true
      queues[#queues + 1] = queue
      call('SADD', P .. '#queues', queue)
      call('HSETNX', q .. 'meta', 'opts.maxLenEvents', 1000)
    end
    local row = call('INCR', P .. '#row')
    call('HSET', job, 'name', name, 'data', data, 'opts', opts, 'timestamp', at, 'delay', 0, 'priority', priority, '#row', row, '#due', due == '' and at or due)
    if key ~= '' then call('HSET', job, '#key', key) end
    if slot then
      call('HSET', job, 'deid', slot)
      call('SET', q .. 'de:' .. slot, id)
      if period ~= '' then call('SET', P .. '#young:' .. slot, id, 'PX', period) end
    end
    call('ZADD', P .. '#rows', row, queue .. ':' .. id)
    event(q, 'event', 'added', 'jobId', id, 'name', name)
    if due ~= '' and tonumber(due) > at then
      call('HSET', job, 'delay', due - at)
      delay(q, id, tonumber(due))
    else
      wait(q, id)
    end
    kept[#kept + 1] = ''
  end
end
return kept
