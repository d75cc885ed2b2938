-- POST with a JSON body of 1 KB, that of scenarios/micropython.py.
dofile('load/result.lua')
local readings = {}
for i = 0, 15 do
  readings[#readings + 1] = string.format('{"time": %d, "temperature": %.1f, "humidity": "%02d percent"}', 1700000000 + i, i + 0.5, i)
end
wrk.method = 'POST'
wrk.body = '{"readings": [' .. table.concat(readings, ', ') .. ']}'
wrk.headers['Content-Type'] = 'application/json'
