"""Thousands of idle kept-alive connections: memory of each, and what they do to the latency of busy ones."""
import time

from measure import Client, Server
from peers import IDLE, Peer
from results import Samples
from settings import Settings

from scenarios.requests import WORKLOADS

PLAIN = WORKLOADS['plain']


def run(settings: Settings) -> dict:
    samples = Samples()
    for _ in range(settings.rounds):
        for peer in settings.select(IDLE):
            with start(peer, settings) as server:
                alone = measure_alone(server, settings)
            with start(peer, settings) as server:
                samples.add(peer.name, 'idle', {**alone, **measure_beside(server, settings)})
    return samples.data


def start(peer: Peer, settings: Settings) -> Server:
    if peer.kind != 'ours':
        return Server(peer)
    limit = str(2 * settings.idle_connections)
    return Server(peer, '--set', 'max_connections', limit, '--set', 'keep_alive_timeout', '600')


def measure_alone(server: Server, settings: Settings) -> 'dict[str, float]':
    PLAIN.check(server)
    server.load(PLAIN, settings.busy_connections, settings.warm_up)
    figures = server.load(PLAIN, settings.busy_connections, settings.seconds)
    return {'p99_alone_ms': figures['p99_ms'], 'cpu_us_alone': figures['cpu_us']}


def measure_beside(server: Server, settings: Settings) -> 'dict[str, float]':
    PLAIN.check(server)
    server.load(PLAIN, 1, settings.warm_up)  # more connections would leave free memory for the idle ones
    before = server.rss()
    with Client('idle_clients', server.port, settings.idle_connections) as client:
        client.read()
        time.sleep(1)
        memory = server.rss() - before
        server.load(PLAIN, settings.busy_connections, settings.warm_up)
        figures = server.load(PLAIN, settings.busy_connections, settings.seconds)
        kept = client.finish()['open']
    if kept != settings.idle_connections:
        server.fail(f'has kept {kept:,} of {settings.idle_connections:,} connections')
    return {
        'bytes': memory / settings.idle_connections,
        'p99_together_ms': figures['p99_ms'],
        'cpu_us_together': figures['cpu_us'],
    }
