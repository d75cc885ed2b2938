"""Uploads to aiohttp: the size of the file of a form, which is dropped."""
import asyncio
import sys

from aiohttp import web


async def upload(request):
    size = 0
    async for part in await request.multipart():
        while piece := await part.read_chunk(262144):
            size += len(piece)
    return web.Response(text=str(size))


def main():
    if sys.argv[2] == 'uvloop':
        import uvloop
        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post('/upload', upload)
    web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), access_log=None, print=None, loop=loop)


main()
