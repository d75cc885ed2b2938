"""Our adapters on servers of others: uvicorn (ASGI) against Starlette, Gunicorn (WSGI) against Flask.

All peers of a host run on the same server with the same options, so what differs is the framework. An application
without a framework shows what the server takes for itself.
"""
from contextlib import ExitStack

from measure import Server
from peers import HOSTS
from results import Samples
from settings import Settings

from scenarios.requests import WORKLOADS

CASES = ('plain', 'json', 'parameter', 'echo')


def run(settings: Settings) -> dict:
    samples = Samples()
    for _ in range(settings.rounds):
        for host, peers in HOSTS.items():
            with ExitStack() as stack:
                servers = [stack.enter_context(Server(peer)) for peer in settings.select(peers)]
                run_round(host, servers, settings, samples)
    return samples.data


def run_round(host: str, servers: 'list[Server]', settings: Settings, samples: Samples) -> None:
    for name in CASES:
        workload = WORKLOADS[name]
        for server in servers:
            workload.check(server)
            server.load(workload, settings.connections, settings.warm_up)
            figures = server.load(workload, settings.connections, settings.seconds)
            samples.add(server.peer.name, f'{host}, {name}', figures)
