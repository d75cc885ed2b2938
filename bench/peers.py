"""Every server that is measured, and how it is started."""
import pathlib
from dataclasses import dataclass

from environment import PYTHON, UPSTREAM_PYTHON, VENV


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


def uvicorn(name: str, module: str, loop: str, app: str = 'app', python: pathlib.Path = PYTHON,
            kind: str = 'python') -> Peer:
    return Peer(name, kind, (
        '-m', 'uvicorn', f'servers.{module}:{app}', '--host', '127.0.0.1', '--port', '{port}', '--loop', loop,
        '--http', 'httptools', '--ws', 'none', '--no-access-log', '--log-level', 'warning', '--backlog', '2048',
        '--timeout-keep-alive', '600'), str(python))


def gunicorn(name: str, module: str, app: str, worker: str, python: pathlib.Path = PYTHON,
             kind: str = 'python') -> Peer:
    return Peer(name, kind, (
        '-m', 'gunicorn', f'servers.{module}:{app}', '--bind', '127.0.0.1:{port}', '--workers', '1',
        '--worker-class', worker, '--threads', '8' if worker == 'gthread' else '1', '--keep-alive', '600',
        '--backlog', '2048', '--log-level', 'warning', '--no-control-socket'), str(python))


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


def on_uvicorn(loop: str) -> 'tuple[Peer, ...]':
    return (
        uvicorn('ours', 'microdot_hosted', loop, 'asgi_app', kind='ours'),
        uvicorn('microdot 2.7.0', 'microdot_hosted', loop, 'asgi_app', python=UPSTREAM_PYTHON),
        uvicorn('Starlette', 'starlette_app', loop),
        uvicorn('no framework', 'asgi_app', loop, kind='floor'),
    )


def on_gunicorn(worker: str, *more: Peer) -> 'tuple[Peer, ...]':
    return (
        gunicorn('ours', 'microdot_hosted', 'wsgi_app', worker, kind='ours'),
        gunicorn('ours, def', 'microdot_hosted', 'wsgi_def_app', worker, kind='ours'),
        gunicorn('Flask', 'flask_app', 'app', worker),
        gunicorn('no framework', 'wsgi_app', 'app', worker, kind='floor'),
        *more,
    )


# Each peer of a host runs on the same server, with the same options. Upstream fails with threads.
HOSTS = {
    'uvicorn': on_uvicorn('asyncio'),
    'uvicorn, uvloop': on_uvicorn('uvloop'),
    'Gunicorn gthread': on_gunicorn('gthread'),
    'Gunicorn sync': on_gunicorn(
        'sync',
        gunicorn('microdot 2.7.0', 'microdot_hosted', 'wsgi_app', 'sync', python=UPSTREAM_PYTHON),
        gunicorn('microdot 2.7.0, def', 'microdot_hosted', 'wsgi_def_app', 'sync', python=UPSTREAM_PYTHON),
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


def on_micropython(name: str, kind: str) -> Peer:
    """Its folder of compiled modules is in the environment, see scenarios/micropython.py."""
    return Peer(name, kind, ('-X', 'heapsize=1M', 'servers/micropython_app.py', '{port}'),
                str(VENV / 'bin' / 'micropython'))


MICROPYTHON = (on_micropython('ours', 'ours'), on_micropython('microdot 2.7.0', 'python'))


def every() -> 'list[Peer]':
    groups = (*GROUPS.values(), *HOSTS.values(), ROUTING, IDLE, *ECHO.values(), *EVENTS.values(), PARSERS,
              *UPLOADS.values(), MICROPYTHON)
    return [peer for group in groups for peer in group]


def names() -> 'list[str]':
    return sorted({peer.name for peer in every()})
