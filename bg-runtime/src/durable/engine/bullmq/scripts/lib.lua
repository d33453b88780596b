-- What all scripts of ours share. KEYS[1] is the prefix of the store, which also says the node of a cluster.
local P = KEYS[1] .. ':'
local call = redis.call
local function now() local t = call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
local function of_queue(queue) return P .. queue .. ':' end
local function split(member) return string.match(member, '^([^:]*):(.*)$') end
local function tell(line) call('PUBLISH', P .. '#told', line) end
local function event(q, ...) call('XADD', q .. 'events', 'MAXLEN', '~', 1000, '*', ...) end
local function is_paused(q) return call('HEXISTS', q .. 'meta', 'paused') == 1 end
local function wake(q) if not is_paused(q) then call('ZADD', q .. 'marker', 0, '0') end end
-- As BullMQ's addJobInTargetList and addJobWithPriority. `front`: before all others of its priority.
local function wait(q, id, front)
  local priority = tonumber(call('HGET', q .. id, 'priority')) or 0
  if priority == 0 then
    call(front and 'RPUSH' or 'LPUSH', q .. 'wait', id)
  else
    local count = front and 0 or call('INCR', q .. 'pc')
    call('ZADD', q .. 'prioritized', priority * 0x100000000 + count % 0x100000000, id)
  end
  call('HDEL', q .. id, '#w')
  wake(q)
end
-- As BullMQ's addDelayedJob.
local function delay(q, id, due, why)
  local low, high = due * 0x1000, (due + 1) * 0x1000 - 1
  local last = call('ZREVRANGEBYSCORE', q .. 'delayed', high, low, 'WITHSCORES', 'LIMIT', 0, 1)[2]
  call('ZADD', q .. 'delayed', last and math.min(tonumber(last) + 1, high) or low, id)
  if why then call('HSET', q .. id, '#w', why) else call('HDEL', q .. id, '#w') end
  local first = call('ZRANGE', q .. 'delayed', 0, 0, 'WITHSCORES')[2]
  call('ZADD', q .. 'marker', math.floor(first / 0x1000), '1')
end
-- Returns the queue of a task and its id there: what other clients of BullMQ have stored has another one.
local function find(task)
  for _, queue in ipairs(call('SMEMBERS', P .. '#queues')) do
    if call('EXISTS', of_queue(queue) .. task) == 1 then return queue, task end
  end
  local other = call('HGET', P .. '#others', task)
  if other then return split(other) end
end
local function task(job, id) return call('HGET', job, '#id') or id end
-- Returns which unfinished task has a unique value, and frees it where that task is gone.
local function holder(queues, slot)
  for _, queue in ipairs(queues) do
    local q = of_queue(queue)
    local id = call('GET', q .. 'de:' .. slot)
    if id then
      if call('EXISTS', q .. id) == 1 then return id end
      call('DEL', q .. 'de:' .. slot)
    end
  end
end
-- The unique value is BullMQ's deduplication key, which its own end of a job frees as well.
local function free(q, id)
  local slot = call('HGET', q .. id, 'deid')
  if slot and call('GET', q .. 'de:' .. slot) == id then call('DEL', q .. 'de:' .. slot) end
end
local function note(job, entry)
  local errors = call('HGET', job, '#e')
  call('HSET', job, '#e', errors and errors .. ',' .. entry or entry)
end
-- What BullMQ's moveToFinished does of a job that it has. `target` is completed, failed or cancelled.
local function finish(q, id, target, at, text)
  local job = q .. id
  free(q, id)
  if target == 'completed' then
    call('ZADD', q .. 'completed', at, id)
    call('HSET', job, 'returnvalue', 'null', 'finishedOn', at)
    event(q, 'event', 'completed', 'jobId', id, 'returnvalue', 'null', 'prev', 'active')
  else
    call('ZADD', q .. 'failed', at, id)
    call('HSET', job, 'failedReason', text, 'finishedOn', at)
    -- Other clients may have had it run again since, which leave the sets of ours as they are.
    call('ZREM', q .. (target == 'failed' and '#cancelled' or '#untold'), id)
    call('ZADD', q .. (target == 'failed' and '#untold' or '#cancelled'), at, id)
    event(q, 'event', 'failed', 'jobId', id, 'failedReason', text, 'prev', 'active')
  end
  tell('e' .. task(job, id))
end
local FINAL = {'completed', 'failed', '#cancelled', '#untold'}
local function forget(queue, id)
  local q = of_queue(queue)
  local job = q .. id
  for _, set in ipairs(FINAL) do call('ZREM', q .. set, id) end
  call('ZREM', P .. '#rows', queue .. ':' .. id)
  local other = call('HGET', job, '#id')
  if other then call('HDEL', P .. '#others', other) end
  call('UNLINK', job, job .. ':logs')
end
local CANCELLED = 'cancelled: somebody cancelled it'
local function entry(job, at, text) return '[' .. (call('HGET', job, 'ats') or 0) .. ',' .. at .. ',' .. cjson.encode(text) .. ']' end
