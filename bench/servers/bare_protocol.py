"""The floor: an asyncio.Protocol that writes a constant for whatever arrives. bare_protocol.py PORT asyncio|uvloop

It parses nothing, so it is no server. What it costs is what the event loop and the kernel cost.
"""
import asyncio
import sys

RESPONSE = (b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n'
            b'Hello, World!')


class Constant(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(RESPONSE)


async def main():
    server = await asyncio.get_running_loop().create_server(Constant, '127.0.0.1', int(sys.argv[1]), backlog=2048)
    await server.serve_forever()


if sys.argv[2] == 'uvloop':
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
