"""As on a board: the compiled package, MicroPython, and a small heap."""
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from server_process import free_port

from board_modules import compile_mpy, portable_sources
from forgery import forge
from microdot.websocket import TEXT, render_frame

pytestmark = pytest.mark.once  # boards do not see the version of CPython

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
#: KB, with objects of 64 bits; what a board needs is about half. FOOTPRINT.md has the goal, and why this is more.
HEAP = 160
#: KB, for forms and files; 110 is the smallest that works.
HEAP_FOR_FILES = 120
#: KB, for logins; 126 is the smallest that works for three clients at a time, 118 for one. The goal was 96.
HEAP_FOR_LOGINS = 140
BOARD_KEY = b'a key of a board, long enough for HS256'
HANDSHAKE = (b'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
             b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('board')
    (folder / 'microdot').mkdir()
    for source in portable_sources():
        compile_mpy(source, folder / 'microdot' / f'{source.stem}.mpy')
    return folder


@contextmanager
def running(program, folder, heap):
    """Run a program on MicroPython with so many KB of heap; gives its port."""
    port = free_port()
    process = subprocess.Popen(
        [BIN / 'micropython', '-X', f'heapsize={heap}K', HERE / program, folder, str(port)],
        env={**os.environ, 'MICROPYPATH': '.frozen'}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield port
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=10)
    assert output == b''


@pytest.fixture
def board(folder):
    with running('board_app.py', folder, HEAP) as port:
        yield port


@pytest.fixture
def board_with_files(folder):
    with running('board_files_app.py', folder, HEAP_FOR_FILES) as port:
        yield port


@pytest.fixture
def board_with_logins(folder):
    with running('board_login_app.py', folder, HEAP_FOR_LOGINS) as port:
        yield port


async def connect(port):
    for _ in range(500):
        try:
            return await asyncio.open_connection('127.0.0.1', port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
    raise AssertionError('the board does not answer')


async def heap(port):
    """Return the bytes of the heap that are in use."""
    reader, writer = await connect(port)
    writer.write(b'GET /heap HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    response = await reader.read()
    writer.close()
    return json.loads(response.split(b'\r\n\r\n')[1])['used']


async def echo(port):
    reader, writer = await connect(port)
    writer.write(HANDSHAKE)
    assert b' 101 ' in await reader.readuntil(b'\r\n\r\n')
    for i in range(1000):
        message = b'message %d' % i
        writer.write(render_frame(TEXT, message, b'abcd'))
        assert await reader.readexactly(2 + len(message)) == render_frame(TEXT, message)
    return writer


async def listen(port):
    reader, writer = await connect(port)
    writer.write(b'GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
    for i in range(1000):
        assert b'data: {"number": %d}\n\n' % i in await reader.readuntil(b'\n\n\r\n')
    return writer


async def test_four_conversations_and_four_streams(board):
    heaps = []
    for _ in range(3):
        heaps.append(await heap(board))
        writers = await asyncio.wait_for(asyncio.gather(*[f(board) for f in (echo, listen) * 4]), 60)
        for writer in writers:
            writer.close()
        await asyncio.sleep(1.5)  # longer than the board lingers
    heaps.append(await heap(board))
    assert max(heaps[1:]) - min(heaps[1:]) < 8192, heaps
    assert heaps[-1] - heaps[0] < 16384, heaps  # what is made, and which parts are imported, when they are needed first


async def exchange(port, request):
    """Send a request as fast as the board takes it, return the body of the response, which is a 200."""
    reader, writer = await connect(port)
    writer.write(request)
    head, _, body = (await reader.read()).partition(b'\r\n\r\n')
    writer.close()
    assert head.startswith(b'HTTP/1.1 200 '), head
    return body


def form(content):
    body = (b'--bound\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n'
            b'--bound\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
            b'Content-Type: application/octet-stream\r\n\r\n' + content + b'\r\n--bound--\r\n')
    return (b'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n'
            b'Content-Type: multipart/form-data; boundary=bound\r\n\r\n' % len(body) + body)


async def test_uploads_and_downloads(board_with_files, folder):
    """Forms with a file of 1 MB, and the same file back."""
    heaps = []
    for i in range(10):
        content = random.Random(i).randbytes((1 << 20) - 11 * i) + b'\r\n--boun\r\n' * i
        names = await asyncio.wait_for(exchange(board_with_files, form(content)), 60)
        assert json.loads(names) == ['field', 'file']
        assert (folder / 'upload.bin').read_bytes() == content
        request = b'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
        assert await asyncio.wait_for(exchange(board_with_files, request), 60) == content
        heaps.append(await heap(board_with_files))
    assert max(heaps) - min(heaps) < 4096, heaps


async def visit(port):
    """Log in and out, and try what must not work."""
    async with httpx.AsyncClient(base_url=f'http://127.0.0.1:{port}', timeout=30) as client:
        assert (await client.get('/count')).headers['Location'] == '/login?next=/count'
        response = await client.post('/login', data={'password': 'Secret'})
        assert (response.status_code, response.text) == (401, 'wrong')
        assert (await client.get('/')).status_code == 302
        response = await client.post('/login?next=/count', data={'password': 'secret'})
        assert (response.status_code, response.headers['Location']) == (302, '/count')
        for i in range(1, 6):
            assert (await client.get('/count')).text == str(i)
        remembered = client.cookies['_remember']
        assert (await client.post('/logout')).text == 'bye'
        assert client.cookies.get('_remember') is None
        assert (await client.get('/')).status_code == (await client.get('/count')).status_code == 302
        now = int(time.time())
        for seconds, status_code in (-1, 302), (30, 200):
            claims = {'_user_id': 'susan', '_fresh': True, 'exp': now + seconds}
            client.cookies.set('session', forge(claims, key=BOARD_KEY), '127.0.0.1')
            assert (await client.get('/count')).status_code == status_code
        client.cookies.clear()
        for token, status_code in (remembered[:-1], 302), (remembered, 200):
            client.cookies.set('_remember', token, '127.0.0.1')
            assert (await client.get('/')).status_code == status_code
        assert (await client.get('/count')).status_code == 302  # who is remembered is not fresh


async def test_logins(board_with_logins):
    (await connect(board_with_logins))[1].close()
    heaps = []
    for _ in range(5):
        await asyncio.wait_for(asyncio.gather(*[visit(board_with_logins) for _ in range(3)]), 60)
        heaps.append(await heap(board_with_logins))
    assert max(heaps[1:]) - min(heaps[1:]) < 4096, heaps
