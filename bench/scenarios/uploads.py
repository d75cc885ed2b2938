"""A form with a file of 100 MB: parsers of multipart/form-data alone, and servers that drop the file."""
from contextlib import ExitStack

from measure import Client, Failed, Server
from peers import PARSERS, UPLOADS
from results import Samples
from settings import Settings

BODIES = ('binary', 'text')  # that servers get
PARSED = (*BODIES, 'line breaks', 'small parts')


def run(settings: Settings) -> dict:
    samples = Samples()
    for case in PARSED:
        parse(case, samples, settings)
    servers = settings.select([peer for group in UPLOADS.values() for peer in group])
    for _ in range(settings.rounds):
        for peer in servers:  # one after the other: the memory of each is looked at
            with Server(peer) as server:
                for case in BODIES:
                    samples.add(peer.name, case, upload(server, case, settings))
    return samples.data


def parse(case: str, samples: Samples, settings: Settings) -> None:
    """Let all parsers have the same body in turn. Each has a process of its own."""
    peers = settings.select(PARSERS)
    with ExitStack() as stack:
        clients = {peer.name: stack.enter_context(Client('parse', peer.name, settings.upload_megabytes))
                   for peer in peers}
        checksums = {name: client.ask(f'{case} {settings.warm_up}')['checksum'] for name, client in clients.items()}
        if len(set(checksums.values())) > 1:
            raise Failed(f'the parsers do not agree about {case}: {checksums}')
        for _ in range(settings.rounds):
            for name, client in clients.items():
                result = client.ask(f'{case} {settings.seconds}')
                megabytes = result['bytes'] / 1e6
                samples.add(name, f'parse {case}', {
                    'mb_per_second': megabytes / result['seconds'],
                    'cpu_ms_per_100_mb': result['seconds'] * 1000 / megabytes * 100,
                })


def upload(server: Server, case: str, settings: Settings) -> 'dict[str, float]':
    with Client('upload', server.port, case, settings.upload_megabytes) as client:
        client.read()
        client.ask(settings.warm_up)
        before, cpu = server.rss(), server.cpu_seconds()
        result = client.ask(settings.seconds)
        cpu = server.cpu_seconds() - cpu
    megabytes = result['bytes'] / 1e6
    return {
        'mb_per_second': megabytes / result['seconds'],
        'cpu_ms_per_100_mb': cpu * 1000 / megabytes * 100,
        'client_cores': result['cpu'] / result['seconds'],
        'rss_mb': before / 1e6,
        'rss_peak_mb': server.peak_rss() / 1e6,
    }
