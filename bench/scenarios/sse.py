"""Server-Sent Events: deliveries to 500 clients, and memory of the server beside clients that never read."""
from contextlib import ExitStack

from measure import Client, Server
from peers import EVENTS
from results import Samples
from settings import Settings


def run(settings: Settings) -> dict:
    samples = Samples()
    peers = settings.select([peer for group in EVENTS.values() for peer in group])
    for _ in range(settings.rounds):
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(peer)) for peer in peers]
            for server in servers:
                samples.add(server.peer.name, 'deliver', deliver(server, settings))
    for peer in peers:
        with Server(peer, BENCH_EVENT=str(settings.event_kilobytes * 1024)) as server:
            samples.add(peer.name, 'deaf', stay_deaf(server, settings))
    return samples.data


def deliver(server: Server, settings: Settings) -> 'dict[str, float]':
    with Client('event_clients', server.port, settings.event_clients, 0) as client:
        client.read()
        client.ask(settings.warm_up)
        before = server.cpu_seconds()
        result = client.ask(settings.seconds)
        cpu = server.cpu_seconds() - before
    deliveries = result['events'] * settings.event_clients
    return {
        'per_second': deliveries / result['seconds'],
        'cpu_us': cpu / deliveries * 1e6,
        'client_cores': result['cpu'] / result['seconds'],
    }


def stay_deaf(server: Server, settings: Settings) -> 'dict[str, float]':
    """``readers`` are clients beside those that never read, and get every event."""
    with Client('event_clients', server.port, settings.event_readers, settings.deaf_clients) as client:
        client.read()
        before = server.rss()
        result = client.ask(settings.deaf_hold)
        return {
            'growth_kb': (server.rss() - before) / 1024 / settings.deaf_clients,
            'peak_growth_kb': (server.peak_rss() - before) / 1024 / settings.deaf_clients,
            'events': result['events'],
            'per_second': result['events'] * settings.event_readers / result['seconds'],
        }
