-- The headers that a browser sends: 12 of them, always in this order, about 650 bytes.
dofile('load/result.lua')
headers = table.concat({
  'Host: localhost',
  'Connection: keep-alive',
  'Cache-Control: max-age=0',
  'Upgrade-Insecure-Requests: 1',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-Mode: navigate',
  'Referer: http://localhost/articles/2024/a-page-with-a-long-name?page=2&order=newest',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Cookie: session=eyJ1c2VyIjogMTIzNDUsICJsb2dpbiI6IHRydWV9.Zx8m0w.k1lJ0eY3s2QZ9d8fT7; theme=dark; consent=all',
}, '\r\n') .. '\r\n'
local whole

function init(args)
  whole = 'GET ' .. wrk.path .. ' HTTP/1.1\r\n' .. headers .. '\r\n'
end

function request()
  return whole
end
