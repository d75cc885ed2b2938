"""WebSocket echo for aiohttp, with its own server: aiohttp_websocket.py PORT asyncio|uvloop"""
import asyncio
import sys

from aiohttp import WSMsgType, web


async def echo(request):
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            await ws.send_str(message.data)
        else:
            await ws.send_bytes(message.data)
    return ws


def new_loop():
    if sys.argv[2] == 'uvloop':
        import uvloop
        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


app = web.Application()
app.add_routes([web.get('/echo', echo)])
web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), access_log=None, print=None, backlog=2048, loop=new_loop())
