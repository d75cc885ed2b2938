"""Hold COUNT kept-alive connections to PORT, each after one request: idle_clients.py PORT COUNT

Prints a line of JSON when every connection has had its answer, and when standard input ends, how many are still open.
"""
import json
import select
import socket
import sys

REQUEST = b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
AT_ONCE = 64  # connections being opened at a time, fewer than any server's backlog
PER_ADDRESS = 10_000  # connections from one source address, fewer than there are ephemeral ports
IP_BIND_ADDRESS_NO_PORT = 24  # connect() chooses the port, and may take one whose last connection was to another server


class Crowd:
    def __init__(self, port: int):
        self.port = port
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.waiting: dict[int, bytes] = {}  # what has come of each answer

    def open_one(self) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f'127.0.0.{2 + len(self.sockets) // PER_ADDRESS}', 0))
        sock.connect(('127.0.0.1', self.port))
        sock.sendall(REQUEST)
        sock.setblocking(False)
        self.sockets[sock.fileno()] = sock
        self.waiting[sock.fileno()] = b''
        self.poll.register(sock, select.EPOLLIN)

    def read_answers(self) -> None:
        for number, _ in self.poll.poll(30) or sys.exit('the server has not answered for 30 seconds'):
            data = self.sockets[number].recv(65536)
            answer = self.waiting[number] + data
            if not data or not answer.startswith(b'HTTP/1.1 200 '):
                sys.exit(f'connection {len(self.sockets)}: {answer[:200]!r}')
            self.waiting[number] = answer
            if answer.endswith(b'Hello, World!'):
                del self.waiting[number]

    def fill(self, count: int) -> None:
        while self.waiting or len(self.sockets) < count:
            while len(self.waiting) < AT_ONCE and len(self.sockets) < count:
                self.open_one()
            self.read_answers()

    def count_open(self) -> int:
        readable = self.poll.poll(0, len(self.sockets))  # every answer has been read: only an end can be left
        return len(self.sockets) - len(readable)


def main() -> None:
    port, count = map(int, sys.argv[1:])
    crowd = Crowd(port)
    crowd.fill(count)
    print(json.dumps({'answered': len(crowd.sockets)}), flush=True)
    sys.stdin.read()
    print(json.dumps({'open': crowd.count_open()}), flush=True)


main()
