"""A service as it runs in production: workers, an access log, a trusted proxy in front, and a graceful end.

Run it on CPython:  python server.py [WORKERS]
Then try:           curl -i -H 'X-Forwarded-For: 203.0.113.7' localhost:5000
and stop it with Ctrl-C or SIGTERM while   curl localhost:5000/slow   is waiting.

"""
import asyncio
import os
import sys

from microdot import Microdot

app = Microdot()
app.graceful_timeout = 10  # seconds for requests in flight when the service stops


@app.get('/')
async def index(request):
    return {'client': request.client_addr[0], 'scheme': request.scheme, 'process': os.getpid()}


@app.get('/slow')
async def slow(request):
    await asyncio.sleep(3)
    return 'It was worth waiting for.'


if __name__ == '__main__':
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    app.run('127.0.0.1', 5000, workers=workers, access_log=True, trusted_proxies=['127.0.0.1'])
    print('stopped')
