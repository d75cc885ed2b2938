"""WebSocket echo: messages per second, and CPU time of the server for each, by size and connections."""
from contextlib import ExitStack
from dataclasses import dataclass

from measure import Client, Server
from peers import ECHO
from results import Samples
from settings import Settings


@dataclass(frozen=True)
class Case:
    """``window`` messages of ``size`` bytes are under way over each of the connections."""

    size: int
    connections: int
    window: int = 1


CASES = {
    '16 B, 1': Case(16, 1),
    '16 B, 100': Case(16, 100),
    '16 B, 1, pipelined': Case(16, 1, 8),
    '1 KB, 1': Case(1024, 1),
    '1 KB, 100': Case(1024, 100),
    '64 KB, 1': Case(65536, 1),
    '64 KB, 100': Case(65536, 100),
}


def run(settings: Settings) -> dict:
    samples = Samples()
    peers = settings.select([peer for group in ECHO.values() for peer in group])
    for _ in range(settings.rounds):
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(peer)) for peer in peers]
            for name, case in CASES.items():
                for server in servers:
                    samples.add(server.peer.name, name, measure(server, case, settings))
    return samples.data


def measure(server: Server, case: Case, settings: Settings) -> 'dict[str, float]':
    with Client('echo_clients', server.port, case.size, case.connections, case.window) as client:
        client.read()
        client.ask(settings.warm_up)
        before = server.cpu_seconds()
        result = client.ask(settings.seconds)
        cpu = server.cpu_seconds() - before
    return {
        'per_second': result['messages'] / result['seconds'],
        'cpu_us': cpu / result['messages'] * 1e6,
        'client_cores': result['cpu'] / result['seconds'],
    }
