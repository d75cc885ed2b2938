"""WebSocket echo for the package websockets, with its own server: websockets_echo.py PORT asyncio|uvloop"""
import asyncio
import sys

import websockets.speedups  # noqa: F401  without it the comparison would be another one
from websockets.asyncio.server import serve


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def main():
    async with serve(echo, '127.0.0.1', int(sys.argv[1]), compression=None, backlog=2048) as server:
        await server.serve_forever()


if sys.argv[2] == 'uvloop':
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
