-- POST with a JSON body of 70 bytes.
dofile('load/result.lua')
wrk.method = 'POST'
wrk.body = '{"id": 12345, "name": "A thing", "tags": ["a", "b", "c"], "price": 9.5}'
wrk.headers['Content-Type'] = 'application/json'
