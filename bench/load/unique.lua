-- The browser's headers and an X-Request-Id, which no two requests have in common.
dofile('load/browser.lua')
local head, count

function init(args)
  head = 'GET ' .. wrk.path .. ' HTTP/1.1\r\n' .. headers
  math.randomseed(os.time())
  count = math.random(1, 1000000) * 1000000
end

function request()
  count = count + 1
  return head .. 'X-Request-Id: ' .. string.format('%032d', count) .. '\r\n\r\n'
end
