"""Upload a form with one file again and again: upload.py PORT CASE MEGABYTES

The body is sent in pieces of 64 KB, again and again over one kept-alive connection. The server has to answer with the
size of the file. Prints a line of JSON when the body is made; then for each line of standard input, seconds,
one with bytes and seconds.
"""
import json
import re
import socket
import sys
import time

import bodies


def upload(sock: socket.socket, head: bytes, pieces: 'list[bytes]', size: int) -> None:
    sock.sendall(head)
    for piece in pieces:
        sock.sendall(piece)
    answer = b''
    while not (found := re.fullmatch(rb'(?is)(HTTP/1.1 200 .*?)\r\n\r\n(.*)', answer)) or len(found[2]) < length(found):
        data = sock.recv(4096)
        if not data:
            sys.exit(f'closed by the server after {answer!r}')
        answer += data
        if not answer.startswith(b'HTTP/1.1 200 '[:len(answer)]):
            sys.exit(f'the answer is {answer!r}')
    if int(found[2]) != size:
        sys.exit(f'the server has got {found[2]!r} bytes instead of {size}')


def length(found: 're.Match[bytes]') -> int:
    return int(re.search(rb'(?i)content-length: *(\d+)', found[1])[1])


def main() -> None:
    port, case, megabytes = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    body, _, size = bodies.make(case, megabytes)
    pieces = bodies.pieces_of(body)
    head = (f'POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={bodies.BOUNDARY}'
            f'\r\nContent-Length: {len(body)}\r\n\r\n').encode()
    print(json.dumps({'bytes': len(body)}), flush=True)
    for line in sys.stdin:
        with socket.create_connection(('127.0.0.1', port), 60) as sock:
            count = 0
            begin, cpu = time.perf_counter(), time.process_time()
            while not count or time.perf_counter() - begin < float(line):
                upload(sock, head, pieces, size)
                count += 1
            print(json.dumps({'bytes': len(body) * count, 'seconds': time.perf_counter() - begin,
                              'cpu': time.process_time() - cpu}), flush=True)


main()
