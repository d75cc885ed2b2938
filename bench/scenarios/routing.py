"""Plain text from the last of 1, 100 and 1,000 routes."""
from contextlib import ExitStack

from measure import Server, Workload
from peers import ROUTING, Peer
from results import Samples
from settings import Settings

COUNTS = (1, 100, 1000)
KINDS = ('static', 'dynamic')


def run(settings: Settings) -> dict:
    samples = Samples()
    cases = [(kind, count) for kind in KINDS for count in COUNTS]
    for _ in range(settings.rounds):
        with ExitStack() as stack:
            servers = [(*case, stack.enter_context(start(peer, *case)))
                       for case in cases for peer in settings.select(ROUTING)]
            for kind, count, server in servers:
                workload = last_route(kind, count)
                workload.check(server)
                server.load(workload, settings.connections, settings.warm_up)
                figures = server.load(workload, settings.connections, settings.seconds)
                samples.add(server.peer.name, f'{kind} {count}', figures)
    return samples.data


def start(peer: Peer, kind: str, count: int) -> Server:
    if 'microdot_app' in peer.arguments[0]:
        return Server(peer, '--routes', kind, str(count))
    return Server(peer, BENCH_ROUTES=f'{kind} {count}')


def last_route(kind: str, count: int) -> Workload:
    if kind == 'static':
        return Workload(f'/item{count}', 'Hello, World!')
    return Workload(f'/item{count}/12345', '12345')
