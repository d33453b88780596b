-- Fails where the keys are somebody else's, or a right is missing to read, to write, and to tell.
for _, key in ipairs({'#rows', '#row', '#queues'}) do
  local kind = call('TYPE', P .. key).ok
  local right = key == '#rows' and 'zset' or key == '#row' and 'string' or 'set'
  if kind ~= 'none' and kind ~= right then return redis.error_reply('WRONGTYPE ' .. P .. key .. ' is a ' .. kind) end
end
call('HDEL', P .. '#check', '')
call('PUBLISH', P .. '#told', '')
return 1
