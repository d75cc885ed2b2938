"""Settings of pytest that pyproject.toml cannot express."""
import asyncio
import os
from typing import Any

import pytest
import uvloop
from hypothesis import settings
from memory_transport import exchange

from microdot.microdot import Server
from microdot.test_client import TestClient

# Machines in CI are slow now and then, and there a failure must come again when the run is repeated.
settings.register_profile('local', deadline=None)
settings.register_profile('ci', deadline=None, derandomize=True)
settings.load_profile('ci' if os.environ.get('CI') else 'local')

#: Modules whose tests run once with each server: what one of them does, the other does too.
FOR_EACH_SERVER = ['test_microdot', 'test_microdot_cpython', 'test_request', 'test_response', 'test_server',
                   'test_test_client', 'test_wire', 'test_property', 'test_websocket', 'test_sse', 'test_files',
                   'test_multipart', 'test_utemplate', 'test_jinja', 'test_hostile_conversations', 'test_cors',
                   'test_csrf', 'test_session', 'test_auth', 'test_login']


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition('.')[2] in FOR_EACH_SERVER:
        metafunc.parametrize('server_kind', ['protocol', 'portable'], indirect=True)


@pytest.fixture(autouse=True)
def server_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``start_server()`` and ``TestClient`` use the server of CPython, or the portable one."""
    kind = getattr(request, 'param', None)
    if kind == 'portable':
        monkeypatch.setattr('microdot.microdot.make_server', lambda app, **options: Server(app))
    elif kind == 'protocol':
        monkeypatch.setattr(TestClient, 'exchange', lambda self, pieces: exchange(self.app, pieces, self.scheme))


#: Modules whose tests run in each event loop.
FOR_EACH_LOOP = ['test_protocol', 'test_server', 'test_wire', 'test_websocket', 'test_sse',
                 'test_hostile_conversations', 'test_asgi']


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    is_for_each = item.module.__name__.rpartition('.')[2] in FOR_EACH_LOOP
    factories = {'asyncio': asyncio.new_event_loop, 'uvloop': uvloop.new_event_loop}
    return factories if is_for_each else {'asyncio': asyncio.new_event_loop}
