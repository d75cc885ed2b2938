"""Every server that is measured, and how it is started."""
import pathlib
from dataclasses import dataclass

from environment import PYTHON, UPSTREAM_PYTHON


@dataclass(frozen=True)
class Peer:
    """``kind`` is 'ours', 'python' (a Python framework), 'compiled' (a server in another language) or 'floor'.

    For WebSocket it is 'named' for those that the goal names; a 'parser' is no server.

    """

    name: str
    kind: str
    arguments: 'tuple[str, ...]'
    python: str = str(PYTHON)

    def command(self, port: int) -> 'list[str]':
        return [self.python, *(argument.replace('{port}', str(port)) for argument in self.arguments)]


def ours(name: str, loop: str, *options: str) -> Peer:
    return Peer(name, 'ours', ('servers/microdot_app.py', '--port', '{port}', '--loop', loop, *options))


def uvicorn(name: str, module: str, loop: str, app: str = 'app') -> Peer:
    return Peer(name, 'python', (
        '-m', 'uvicorn', f'servers.{module}:{app}', '--host', '127.0.0.1', '--port', '{port}', '--loop', loop,
        '--http', 'httptools', '--ws', 'none', '--no-access-log', '--log-level', 'warning', '--backlog', '2048',
        '--timeout-keep-alive', '600'))


def uvicorn_websocket(name: str, kind: str, protocol: str, loop: str) -> Peer:
    return Peer(name, kind, (
        '-m', 'uvicorn', 'servers.websocket_asgi:app', '--host', '127.0.0.1', '--port', '{port}', '--loop', loop,
        '--http', 'httptools', '--ws', protocol, '--ws-per-message-deflate', 'false', '--no-access-log',
        '--log-level', 'warning', '--backlog', '2048'))


def granian(interface: str) -> Peer:
    # Backpressure is its limit of connections, by default fewer than the idle ones here.
    return Peer(f'granian {interface.upper()}', 'compiled', (
        '-m', 'granian', f'servers.{interface}_app:app', '--host', '127.0.0.1', '--port', '{port}',
        '--interface', interface, '--loop', 'uvloop', '--http', '1', '--no-ws',
        '--workers', '1', '--runtime-threads', '1', '--runtime-mode', 'st',
        '--backlog', '20000', '--backpressure', '20000', '--no-access-log', '--log-level', 'warning'))


def microdot_script(name: str, kind: str, file: str, python: pathlib.Path, *options: str) -> Peer:
    return Peer(name, kind, (f'servers/{file}.py', '--port', '{port}', *options), str(python))


def script(name: str, kind: str, file: str, *options: str) -> Peer:
    return Peer(name, kind, (f'servers/{file}.py', '{port}', *options))


OURS = ours('ours', 'asyncio')
OURS_UVLOOP = ours('ours, uvloop', 'uvloop')
UPSTREAM = Peer('microdot 2.7.0', 'python', ('servers/microdot_app.py', '--port', '{port}'), str(UPSTREAM_PYTHON))
STARLETTE = uvicorn('Starlette', 'starlette_app', 'asyncio')
AIOHTTP = script('aiohttp', 'python', 'aiohttp_app')
GRANIAN_RSGI = granian('rsgi')

GROUPS = {
    'asyncio': (
        OURS,
        UPSTREAM,
        STARLETTE,
        uvicorn('Falcon', 'falcon_app', 'asyncio'),
        uvicorn('FastAPI', 'fastapi_app', 'asyncio'),
        uvicorn('BlackSheep', 'blacksheep_app', 'asyncio'),
        AIOHTTP,
        script('Sanic', 'python', 'sanic_app', 'asyncio'),
        script('bare Protocol', 'floor', 'bare_protocol', 'asyncio'),
    ),
    'uvloop': (
        OURS_UVLOOP,
        uvicorn('Starlette, uvloop', 'starlette_app', 'uvloop'),
        uvicorn('Falcon, uvloop', 'falcon_app', 'uvloop'),
        script('Sanic, uvloop', 'python', 'sanic_app', 'uvloop'),
        GRANIAN_RSGI,
        granian('asgi'),
        script('socketify', 'compiled', 'socketify_app'),
        script('bare Protocol, uvloop', 'floor', 'bare_protocol', 'uvloop'),
    ),
}
ROUTING = (OURS, UPSTREAM, STARLETTE)
IDLE = (OURS, OURS_UVLOOP, STARLETTE, AIOHTTP, GRANIAN_RSGI)

ECHO = {
    'asyncio': (
        microdot_script('ours', 'ours', 'microdot_websocket', PYTHON, '--loop', 'asyncio'),
        microdot_script('ours, no C', 'ours', 'microdot_websocket', PYTHON, '--loop', 'asyncio', '--plain'),
        script('websockets', 'named', 'websockets_echo', 'asyncio'),
        uvicorn_websocket('uvicorn, wsproto', 'named', 'wsproto', 'asyncio'),
        uvicorn_websocket('uvicorn, websockets', 'python', 'websockets-sansio', 'asyncio'),
        script('aiohttp', 'python', 'aiohttp_websocket', 'asyncio'),
        microdot_script('microdot 2.7.0', 'python', 'microdot_websocket', UPSTREAM_PYTHON),
    ),
    'uvloop': (
        microdot_script('ours, uvloop', 'ours', 'microdot_websocket', PYTHON, '--loop', 'uvloop'),
        microdot_script('ours, no C, uvloop', 'ours', 'microdot_websocket', PYTHON, '--loop', 'uvloop', '--plain'),
        script('websockets, uvloop', 'named', 'websockets_echo', 'uvloop'),
        uvicorn_websocket('uvicorn, wsproto, uvloop', 'named', 'wsproto', 'uvloop'),
    ),
}

EVENTS = {
    'asyncio': (
        microdot_script('ours', 'ours', 'microdot_sse', PYTHON, '--loop', 'asyncio'),
        uvicorn('sse-starlette', 'starlette_sse', 'asyncio'),
        script('aiohttp-sse', 'python', 'aiohttp_sse_app', 'asyncio'),
    ),
    'uvloop': (
        microdot_script('ours, uvloop', 'ours', 'microdot_sse', PYTHON, '--loop', 'uvloop'),
        uvicorn('sse-starlette, uvloop', 'starlette_sse', 'uvloop'),
        script('aiohttp-sse, uvloop', 'python', 'aiohttp_sse_app', 'uvloop'),
    ),
}

PARSERS = (
    Peer('ours', 'ours', ()),
    Peer('multipart', 'parser', ()),
    Peer('python-multipart', 'parser', ()),
)
UPLOADS = {
    'asyncio': (
        microdot_script('ours', 'ours', 'microdot_uploads', PYTHON, '--loop', 'asyncio'),
        uvicorn('Starlette', 'starlette_uploads', 'asyncio'),
        uvicorn('Starlette, form()', 'starlette_uploads', 'asyncio', 'form_app'),
        script('aiohttp', 'python', 'aiohttp_uploads', 'asyncio'),
    ),
    'uvloop': (
        microdot_script('ours, uvloop', 'ours', 'microdot_uploads', PYTHON, '--loop', 'uvloop'),
        uvicorn('Starlette, uvloop', 'starlette_uploads', 'uvloop'),
        script('aiohttp, uvloop', 'python', 'aiohttp_uploads', 'uvloop'),
    ),
}


def every() -> 'list[Peer]':
    groups = *GROUPS.values(), ROUTING, IDLE, *ECHO.values(), *EVENTS.values(), PARSERS, *UPLOADS.values()
    return [peer for group in groups for peer in group]


def names() -> 'list[str]':
    return sorted({peer.name for peer in every()})
