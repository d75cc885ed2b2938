"""One worker process against two.

With two cores the load generator has none of its own. So two kinds of request are measured: plain text, where wrk takes
its share from the workers, and one whose handler computes for about a millisecond, where that share is small.
"""
from contextlib import ExitStack

from measure import CORES, Server, Workload
from peers import OURS, OURS_UVLOOP
from results import Samples
from settings import Settings

from scenarios.requests import WORKLOADS

CASES = {'plain': WORKLOADS['plain'], 'burn': Workload('/burn', str(sum(i * i for i in range(20000))))}
WORKERS = (1, 2)
SERVER_CORES = CORES[:2]
LOAD_CORES = CORES[2:] or CORES


def run(settings: Settings) -> dict:
    samples = Samples()
    for _ in range(settings.rounds):
        with ExitStack() as stack:
            servers = [(count, stack.enter_context(Server(peer, '--workers', str(count), cores=SERVER_CORES)))
                       for peer in settings.select((OURS, OURS_UVLOOP)) for count in WORKERS]
            for name, workload in CASES.items():
                for count, server in servers:
                    workload.check(server)
                    server.load(workload, settings.connections, settings.warm_up, LOAD_CORES)
                    figures = server.load(workload, settings.connections, settings.seconds, LOAD_CORES)
                    samples.add(server.peer.name, f'{name} {count}', figures)
    return samples.data
