"""Clients that are slow on purpose: slow_clients.py PORT KIND=COUNT ...

Kinds: head (a byte of a header every second), body (a byte of a body every second), large and stream (read 1 KB every
second of 1 MB from /large or /stream). A client that the server has dropped connects again.
Prints a line of JSON when all have sent their first bytes, and another, with the drops, when standard input ends.
"""
import asyncio
import json
import socket
import sys

AT_ONCE = 64  # connections being opened at a time
BEGINNINGS = {
    'head': b'GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ',
    'body': b'POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 10000\r\n\r\n',
    'large': b'GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'stream': b'GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n',
}


class Crowd:
    def __init__(self, port: int):
        self.port = port
        self.gate = asyncio.Semaphore(AT_ONCE)
        self.connected = 0
        self.drops = 0

    async def connect(self, kind: str) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that the kernel does not read for a slow reader
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        async with self.gate:
            await loop.sock_connect(sock, ('127.0.0.1', self.port))
            await loop.sock_sendall(sock, BEGINNINGS[kind])
        self.connected += 1
        return sock

    async def run_client(self, kind: str) -> None:
        act = read_slowly if kind in ('large', 'stream') else send_slowly
        while True:
            sock = None
            try:
                sock = await self.connect(kind)
                await act(sock)
            except OSError:
                pass
            finally:
                if sock:
                    sock.close()
            self.drops += 1


async def read_slowly(sock: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(sock, 1024):
        await asyncio.sleep(1)


async def send_slowly(sock: socket.socket) -> None:
    while True:
        await asyncio.sleep(1)
        sock.send(b' ')
        try:
            sock.recv(4096)
            return  # a refusal, or the end of the connection: the server has given up
        except BlockingIOError:
            pass


async def main() -> None:
    crowd = Crowd(int(sys.argv[1]))
    counts = {kind: int(count) for kind, count in (argument.split('=') for argument in sys.argv[2:])}
    tasks = [asyncio.create_task(crowd.run_client(kind)) for kind, count in counts.items() for _ in range(count)]
    while crowd.connected < len(tasks):
        await asyncio.sleep(0.05)
    print(json.dumps({'connected': crowd.connected}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({'drops': crowd.drops}), flush=True)
    for task in tasks:
        task.cancel()


asyncio.run(main())
