"""Slow clients: how long does a fresh client wait, and how much memory do they take?"""
import time

from measure import Client, Server
from peers import OURS, OURS_UVLOOP
from results import Samples
from settings import Settings

KINDS = {
    'senders': ('head', 'body'),
    'readers of bytes': ('large',),
    'readers of a stream': ('stream',),
    'senders and readers': ('head', 'body', 'large', 'stream'),
}


def run(settings: Settings) -> dict:
    samples = Samples()
    for case, kinds in KINDS.items():
        for peer in settings.select((OURS, OURS_UVLOOP)):
            # Senders and readers together are twice as many.
            count = settings.slow_clients * (2 if len(kinds) == 4 else 1) // len(kinds)
            with Server(peer, '--set', 'max_connections', str(4 * settings.slow_clients)) as server:
                samples.add(peer.name, case, measure(server, [f'{kind}={count}' for kind in kinds], settings))
    return samples.data


def measure(server: Server, crowd: 'list[str]', settings: Settings) -> 'dict[str, float]':
    server.fetch('/')
    before = server.rss()
    with Client('slow_clients', server.port, *crowd) as client:
        client.read()
        time.sleep(settings.slow_hold)
        waits = [wait_of_fresh_client(server) for _ in range(settings.fresh_tries)]
        after = server.rss()
        drops = client.finish()['drops']
    return {
        'max_wait_ms': max(waits) * 1000,
        'rss_growth_mb': (after - before) / 1e6,
        'rss_peak_growth_mb': (server.peak_rss() - before) / 1e6,
        'drops': drops,
    }


def wait_of_fresh_client(server: Server) -> float:
    time.sleep(0.1)
    begin = time.perf_counter()
    server.fetch('/')
    return time.perf_counter() - begin
