"""Ours and upstream's on MicroPython, both compiled: hello kept alive and closed, and what an API does."""
import json
import pathlib
import sys
from contextlib import ExitStack
from dataclasses import dataclass

from environment import BENCH, ROOT, UPSTREAM_PYTHON, output
from measure import Server, Workload
from peers import MICROPYTHON, Peer
from results import Samples
from settings import Settings

sys.path.append(str(ROOT / 'tools'))
from footprint import CPYTHON_ONLY, PACKAGE, compile_mpy  # noqa: E402

BOARDS = BENCH / 'build' / 'micropython'  # a folder for each peer, as one would fill a board


@dataclass(frozen=True)
class Case:
    """``connections`` at a time, fewer than a board takes; they are kept alive where the server does that."""

    workload: Workload
    connections: int


PLAIN = Workload('/', 'Hello, World!')
CLOSE = Workload('/', 'Hello, World!', 'close')
KILOBYTE = {'readings': [{'time': 1700000000 + i, 'temperature': i + 0.5, 'humidity': f'{i:02} percent'}
                         for i in range(16)]}
CASES = {
    'keep-alive, 4': Case(PLAIN, 4),
    'keep-alive, 1': Case(PLAIN, 1),
    'close, 4': Case(CLOSE, 4),
    'close, 1': Case(CLOSE, 1),
    'parameter': Case(Workload('/users/12345', '12345'), 4),
    'json': Case(Workload('/json', {'message': 'Hello, World!'}), 4),
    '1 KB': Case(Workload('/echo', KILOBYTE, 'kilobyte', json.dumps(KILOBYTE).encode()), 4),
}


def run(settings: Settings) -> dict:
    samples = Samples()
    boards = {peer: make_board(peer) for peer in settings.select(MICROPYTHON)}
    for _ in range(settings.rounds):
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(peer, MICROPYPATH=f'{board}:.frozen'))
                       for peer, board in boards.items()]
            run_round(servers, settings, samples)
    return samples.data


def run_round(servers: 'list[Server]', settings: Settings, samples: Samples) -> None:
    for name, case in CASES.items():
        for server in servers:
            case.workload.check(server)
            server.load(case.workload, case.connections, settings.warm_up)
            samples.add(server.peer.name, name, server.load(case.workload, case.connections, settings.seconds))


def make_board(peer: Peer) -> pathlib.Path:
    """Compile the modules of a package that are for MicroPython too, and return the folder that it is in."""
    board = BOARDS / peer.kind
    target = board / 'microdot'
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob('*.mpy'):
        old.unlink()
    for source in sorted(package(peer).glob('*.py')):
        if source.name not in CPYTHON_ONLY:
            compile_mpy(source, target / f'{source.stem}.mpy')
    return board


def package(peer: Peer) -> pathlib.Path:
    if peer.kind == 'ours':
        return PACKAGE
    purelib = output([str(UPSTREAM_PYTHON), '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'])
    return pathlib.Path(purelib) / 'microdot'
