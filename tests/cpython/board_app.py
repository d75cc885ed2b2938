"""Run by test_board.py on MicroPython: board_app.py FOLDER PORT, with the compiled package in FOLDER."""
import asyncio
import gc
import sys

sys.path.insert(0, sys.argv[1])

from microdot import Microdot  # noqa: E402
from microdot.sse import with_sse  # noqa: E402
from microdot.websocket import with_websocket  # noqa: E402

app = Microdot()
app.max_connections = 9


@app.get('/heap')
async def heap(request):
    gc.collect()
    return {'used': gc.mem_alloc()}


@app.get('/ws')
@with_websocket
async def echo(request, ws):
    while True:
        await ws.send(await ws.receive())


@app.get('/events')
@with_sse
async def events(request, sse):
    for i in range(1000):
        await sse.send({'number': i})
    await asyncio.sleep(60)


app.run('127.0.0.1', int(sys.argv[2]))
