-- Asks the server to close the connection after each response.
dofile('load/result.lua')
wrk.headers['Connection'] = 'close'
