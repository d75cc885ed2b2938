"""Every server that is measured, and how it is started."""
from dataclasses import dataclass

from environment import PYTHON, UPSTREAM_PYTHON


@dataclass(frozen=True)
class Peer:
    """``kind`` is 'ours', 'python' (a Python framework), 'compiled' (a server in another language) or 'floor'."""

    name: str
    kind: str
    arguments: 'tuple[str, ...]'
    python: str = str(PYTHON)

    def command(self, port: int) -> 'list[str]':
        return [self.python, *(argument.replace('{port}', str(port)) for argument in self.arguments)]


def ours(name: str, loop: str, *options: str) -> Peer:
    return Peer(name, 'ours', ('servers/microdot_app.py', '--port', '{port}', '--loop', loop, *options))


def uvicorn(name: str, framework: str, loop: str) -> Peer:
    return Peer(name, 'python', (
        '-m', 'uvicorn', f'servers.{framework}_app:app', '--host', '127.0.0.1', '--port', '{port}', '--loop', loop,
        '--http', 'httptools', '--ws', 'none', '--no-access-log', '--log-level', 'warning', '--backlog', '2048',
        '--timeout-keep-alive', '600'))


def granian(interface: str) -> Peer:
    # Backpressure is its limit of connections, by default fewer than the idle ones here.
    return Peer(f'granian {interface.upper()}', 'compiled', (
        '-m', 'granian', f'servers.{interface}_app:app', '--host', '127.0.0.1', '--port', '{port}',
        '--interface', interface, '--loop', 'uvloop', '--http', '1', '--no-ws',
        '--workers', '1', '--runtime-threads', '1', '--runtime-mode', 'st',
        '--backlog', '20000', '--backpressure', '20000', '--no-access-log', '--log-level', 'warning'))


def script(name: str, kind: str, file: str, *options: str) -> Peer:
    return Peer(name, kind, (f'servers/{file}.py', '{port}', *options))


OURS = ours('ours', 'asyncio')
OURS_UVLOOP = ours('ours, uvloop', 'uvloop')
UPSTREAM = Peer('microdot 2.7.0', 'python', ('servers/microdot_app.py', '--port', '{port}'), str(UPSTREAM_PYTHON))
STARLETTE = uvicorn('Starlette', 'starlette', 'asyncio')
AIOHTTP = script('aiohttp', 'python', 'aiohttp_app')
GRANIAN_RSGI = granian('rsgi')

GROUPS = {
    'asyncio': (
        OURS,
        UPSTREAM,
        STARLETTE,
        uvicorn('Falcon', 'falcon', 'asyncio'),
        uvicorn('FastAPI', 'fastapi', 'asyncio'),
        uvicorn('BlackSheep', 'blacksheep', 'asyncio'),
        AIOHTTP,
        script('Sanic', 'python', 'sanic_app', 'asyncio'),
        script('bare Protocol', 'floor', 'bare_protocol', 'asyncio'),
    ),
    'uvloop': (
        OURS_UVLOOP,
        uvicorn('Starlette, uvloop', 'starlette', 'uvloop'),
        uvicorn('Falcon, uvloop', 'falcon', 'uvloop'),
        script('Sanic, uvloop', 'python', 'sanic_app', 'uvloop'),
        GRANIAN_RSGI,
        granian('asgi'),
        script('socketify', 'compiled', 'socketify_app'),
        script('bare Protocol, uvloop', 'floor', 'bare_protocol', 'uvloop'),
    ),
}
ROUTING = (OURS, UPSTREAM, STARLETTE)
IDLE = (OURS, OURS_UVLOOP, STARLETTE, AIOHTTP, GRANIAN_RSGI)


def names() -> 'list[str]':
    every = [peer for group in (*GROUPS.values(), ROUTING, IDLE) for peer in group]
    return sorted({peer.name for peer in every})
