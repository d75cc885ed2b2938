"""Download one path again and again: download.py PORT PATH CONNECTIONS SECONDS. Prints bytes and seconds as JSON.

The kernel discards the data (MSG_TRUNC) instead of copying it, so that the client is not what limits the rate.
"""
import json
import re
import selectors
import socket
import sys
import time

CHUNK = 1 << 22
BUFFER = bytearray(CHUNK)


def download(port: int, path: str):
    """One kept-alive connection. Yields its socket, and then, before each wait for data, how many bytes it took."""
    request = f'GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode()
    sock = socket.create_connection(('127.0.0.1', port))
    sock.sendall(request)
    yield sock
    while True:
        left = read_head(sock)
        size = 0
        while left:
            yield size
            size = sock.recv_into(BUFFER, min(left, CHUNK), socket.MSG_TRUNC)
            if size == 0:
                raise ConnectionError(f'{left} bytes are missing')
            left -= size
        sock.sendall(request)
        yield size


def read_head(sock: socket.socket) -> int:
    """Return how many bytes of the body are still to come."""
    head = b''
    while b'\r\n\r\n' not in head:
        data = sock.recv(4096)
        if not data:
            raise ConnectionError('closed before the end of the header block')
        head += data
    head, _, body = head.partition(b'\r\n\r\n')
    length = re.search(rb'(?i)\r\ncontent-length: *(\d+)', head)
    if not head.startswith(b'HTTP/1.1 200 ') or not length:
        raise ConnectionError(repr(head))
    return int(length[1]) - len(body)


def main() -> None:
    port, path, connections, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        steps = download(port, path)
        selector.register(next(steps), selectors.EVENT_READ, steps)
    total = 0
    begin = time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        for key, _ in selector.select(30):
            total += next(key.data)
    print(json.dumps({'bytes': total, 'seconds': elapsed}))


main()
