"""Plain text, JSON, a path parameter, a JSON echo: CPU time per request, requests per second, p99."""
import json
from contextlib import ExitStack

from measure import Server, Workload
from peers import GROUPS, Peer
from results import Samples
from settings import Settings

ECHO = b'{"id": 12345, "name": "A thing", "tags": ["a", "b", "c"], "price": 9.5}'
WORKLOADS = {
    'plain': Workload('/', 'Hello, World!'),
    'json': Workload('/json', {'message': 'Hello, World!'}),
    'parameter': Workload('/users/12345', '12345'),
    'echo': Workload('/echo', json.loads(ECHO), 'echo', ECHO),
    'browser': Workload('/', 'Hello, World!', 'browser'),
    'unique': Workload('/', 'Hello, World!', 'unique'),
}
CONSTANT = ('plain', 'browser', 'unique')  # what a server can answer that knows one answer only


def run_asyncio(settings: Settings) -> dict:
    return run_group(settings.select(GROUPS['asyncio']), settings)


def run_uvloop(settings: Settings) -> dict:
    return run_group(settings.select(GROUPS['uvloop']), settings)


def run_group(peers: 'list[Peer]', settings: Settings) -> dict:
    samples = Samples()
    for _ in range(settings.rounds):
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(peer)) for peer in peers]
            run_round(servers, settings, samples)
    return samples.data


def run_round(servers: 'list[Server]', settings: Settings, samples: Samples) -> None:
    """All servers are up at once, so that neighbours in time are the same request to different peers."""
    for name, workload in WORKLOADS.items():
        for server in servers:
            if server.peer.kind == 'floor' and name not in CONSTANT:
                continue
            workload.check(server)
            server.load(workload, settings.connections, settings.warm_up)
            samples.add(server.peer.name, name, server.load(workload, settings.connections, settings.seconds))
