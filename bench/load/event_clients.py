"""Clients of Server-Sent Events: event_clients.py PORT READERS DEAF

Each event is published by a POST to /publish as soon as all READERS have the one before; the DEAF clients never read.
Prints a line of JSON when all are connected and readers have an event; then for each line of standard input, seconds,
one with the events that all readers have got within that time.
"""
import json
import select
import socket
import sys
import time

STREAM = b'GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n'
PUBLISH = b'POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n'
END = b'x\n\n'  # of an event, all of which are the same
RECEIVE_BUFFER = 4096  # of clients that do not read, so that the kernel does not read for them


class Crowd:
    def __init__(self, port: int):
        self.port = port
        self.poll = select.epoll()
        self.readers: dict[int, socket.socket] = {}
        self.deaf: list[socket.socket] = []
        self.publisher = socket.create_connection(('127.0.0.1', port), 30)

    def connect(self, buffer_size: int = 0) -> socket.socket:
        sock = socket.socket()
        if buffer_size:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_size)
        sock.connect(('127.0.0.1', self.port))
        sock.sendall(STREAM)
        return sock

    def add_reader(self) -> None:
        sock = self.connect()
        sock.setblocking(False)
        self.readers[sock.fileno()] = sock
        self.poll.register(sock, select.EPOLLIN)

    def publish(self) -> None:
        self.publisher.sendall(PUBLISH)

    def check_publisher(self) -> None:
        answer = self.publisher.recv(65536)
        if not answer.startswith(b'HTTP/1.1 204 '):
            sys.exit(f'the answer to a POST is {answer[:200]!r}')

    def deliver(self) -> None:
        """Publish an event, and wait until all readers have it."""
        self.publish()
        missing = dict.fromkeys(self.readers, b'')  # and what has come last of the event
        while missing:
            for number, _ in self.poll.poll(30) or sys.exit(f'{len(missing)} have no event after 30 seconds'):
                data = self.readers[number].recv(65536)
                if END in missing.get(number, b'')[-2:] + data:  # in a chunk, whose end follows
                    missing.pop(number, None)
                elif number in missing:
                    missing[number] = data
                if not data:
                    sys.exit('closed by the server')
        self.check_publisher()

    def check_event(self) -> None:
        """Let every reader be registered: the first event reaches all of them only if they are."""
        time.sleep(0.5)
        self.deliver()


def main() -> None:
    port, readers, deaf = map(int, sys.argv[1:])
    crowd = Crowd(port)
    for _ in range(deaf):
        crowd.deaf.append(crowd.connect(RECEIVE_BUFFER))
    for _ in range(readers):
        crowd.add_reader()
    crowd.check_event()
    print(json.dumps({'readers': len(crowd.readers)}), flush=True)
    for line in sys.stdin:
        begin, cpu = time.perf_counter(), time.process_time()
        events = 0
        while time.perf_counter() - begin < float(line):
            crowd.deliver()
            events += 1
        print(json.dumps({'events': events, 'seconds': time.perf_counter() - begin,
                          'cpu': time.process_time() - cpu}), flush=True)


main()
