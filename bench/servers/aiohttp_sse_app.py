"""Server-Sent Events for aiohttp with aiohttp-sse: see microdot_sse.py. aiohttp_sse_app.py PORT asyncio|uvloop"""
import asyncio
import os
import sys

from aiohttp import web
from aiohttp_sse import sse_response

QUEUE_SIZE = 100
EVENT = 'x' * int(os.environ.get('BENCH_EVENT', 64))
queues = set()


async def events(request):
    queue = asyncio.Queue(QUEUE_SIZE)
    queues.add(queue)
    try:
        async with sse_response(request, sep='\n') as response:
            while True:
                await response.send(await queue.get())
    finally:
        queues.discard(queue)


async def publish(request):
    for queue in queues:
        if not queue.full():
            queue.put_nowait(EVENT)
    return web.Response(status=204)


def new_loop():
    if sys.argv[2] == 'uvloop':
        import uvloop
        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


app = web.Application()
app.add_routes([web.get('/events', events), web.post('/publish', publish)])
web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), access_log=None, print=None, backlog=2048, loop=new_loop())
