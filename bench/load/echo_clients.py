"""WebSocket clients that send a message and wait for its echo: echo_clients.py PORT BYTES CONNECTIONS WINDOW

WINDOW messages are under way over each connection. Prints a line of JSON when every connection has had its first echo;
then for each line of standard input, seconds, one with the messages echoed within that time.

Frames are rendered before. Of the echoes only the bytes are counted, and the kernel discards them (MSG_TRUNC), except
for those of the first and of the last message, which have to be right.
"""
import json
import os
import select
import socket
import struct
import sys
import time

KEY = b'dGhlIHNhbXBsZSBub25jZQ=='
HANDSHAKE = (b'GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
             b'Sec-WebSocket-Key: ' + KEY + b'\r\nSec-WebSocket-Version: 13\r\n\r\n')
ACCEPT = b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
ANY = 1 << 24  # more than the kernel ever has


def render_text(payload: bytes, key: bytes = b'') -> bytes:
    size = len(payload)
    mask_bit = 0x80 if key else 0
    if size < 126:
        head = bytes((0x81, mask_bit | size))
    elif size < 65536:
        head = bytes((0x81, mask_bit | 126)) + size.to_bytes(2, 'big')
    else:
        head = bytes((0x81, mask_bit | 127)) + size.to_bytes(8, 'big')
    if not key:
        return head + payload
    return head + key + bytes(byte ^ key[i & 3] for i, byte in enumerate(payload))


class Client:
    """One connection. ``missing`` are the bytes that the echoes under way still lack."""

    def __init__(self, port: int, size: int, window: int):
        payload = (b'%d ' % port * size)[:size]
        self.frame = render_text(payload, os.urandom(4))
        self.answer = render_text(payload)
        self.window = window
        self.sock = socket.create_connection(('127.0.0.1', port), 30)
        self.sock.settimeout(None)  # Python would call poll() each time
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 30, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.shake_hands()
        self.check_echo()
        self.missing = 0

    def shake_hands(self) -> None:
        self.sock.sendall(HANDSHAKE)
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            head += self.sock.recv(1) or sys.exit(f'closed after {head!r}')
        if not head.startswith(b'HTTP/1.1 101 ') or ACCEPT not in head or b'permessage-deflate' in head.lower():
            sys.exit(f'no proper answer to the handshake: {head!r}')

    def check_echo(self) -> None:
        self.sock.sendall(self.frame)
        echo = b''
        while len(echo) < len(self.answer):
            echo += self.sock.recv(len(self.answer) - len(echo)) or sys.exit(f'closed after {echo[:200]!r}')
        if echo != self.answer:
            sys.exit(f'wrong echo: {echo[:200]!r}')

    def send(self, count: int) -> None:
        self.missing += count * len(self.answer)
        self.sock.sendall(self.frame * count if count > 1 else self.frame)

    def receive(self) -> int:
        """Return how many echoes have become complete."""
        size = len(self.answer)
        before = -(-self.missing // size)
        count = self.sock.recv_into(BUFFER, ANY, socket.MSG_TRUNC)
        if not count:
            sys.exit('closed by the server')
        self.missing -= count
        return before - -(-self.missing // size)


BUFFER = bytearray(ANY)


def echo_one(client: Client, deadline: float) -> int:
    """A single connection needs nothing but calls that block."""
    count = 0
    client.send(client.window)
    while time.perf_counter() < deadline:
        echoed = client.receive()
        if echoed:
            client.send(echoed)
            count += echoed
    return count + finish(client)


def echo_many(clients: 'dict[int, Client]', poll: select.epoll, deadline: float) -> int:
    count = 0
    for client in clients.values():
        client.send(client.window)
    while time.perf_counter() < deadline:
        for number, _ in poll.poll(30) or sys.exit('no echo for 30 seconds'):
            client = clients[number]
            echoed = client.receive()
            if echoed:
                client.send(echoed)
                count += echoed
    return count + sum(map(finish, clients.values()))


def finish(client: Client) -> int:
    """Wait for the echoes that are under way."""
    count = 0
    while client.missing:
        count += client.receive()
    return count


def main() -> None:
    port, size, connections, window = map(int, sys.argv[1:])
    clients = [Client(port, size, window) for _ in range(connections)]
    poll = select.epoll()
    for client in clients:
        poll.register(client.sock, select.EPOLLIN)
    numbered = {client.sock.fileno(): client for client in clients}
    print(json.dumps({'connections': len(clients)}), flush=True)
    for line in sys.stdin:
        begin, cpu = time.perf_counter(), time.process_time()
        deadline = begin + float(line)
        count = echo_one(clients[0], deadline) if connections == 1 else echo_many(numbered, poll, deadline)
        result = {'messages': count, 'seconds': time.perf_counter() - begin, 'cpu': time.process_time() - cpu}
        for client in clients:
            client.check_echo()
        print(json.dumps(result), flush=True)


main()
