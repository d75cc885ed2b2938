"""The clients of tools/soak.py: what each kind of visitor asks for, and what has to come back.

Libraries speak for those that behave, sockets for those that do not.

"""
import asyncio
import contextlib
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import httpx_sse
import websockets
from websockets.asyncio.client import connect as connect_websocket

from soak_traffic import TIMEOUT, TIMEOUTS, Kind, Over, Refused, Visit, Wrong


def expect(status: int, content: bytes, wanted: int, body: 'bytes | str | None' = None) -> None:
    """Compare an answer with the one that it has to be; ``Refused`` for a 503."""
    if status == 503:
        raise Refused
    if status != wanted:
        raise Wrong(f'{status} instead of {wanted}')
    if body is not None and content != (body.encode() if isinstance(body, str) else body):
        raise Wrong(f'the body of a {status} is not the right one: {content[:1000]!r}')


def expect_answer(answer: httpx.Response, status: int, body: 'bytes | str | None' = None) -> None:
    expect(answer.status_code, answer.content, status, body)


def expect_json(answer: httpx.Response, wanted: Any) -> None:
    expect(answer.status_code, b'', 200)
    if answer.json() != wanted:
        raise Wrong(f'{answer.json()!r} instead of {wanted!r}')


def page_text(number: int) -> str:
    return f'<h1>Page {number}</h1>\n' + '<p>Nothing new.</p>\n' * (number % 40)


def digest(content: bytes) -> 'dict[str, int]':
    return {'size': len(content), 'crc': zlib.crc32(content)}


async def pages(visit: Visit) -> None:
    """A browser that keeps its connection."""
    async with visit.httpx() as client:
        for _ in range(3):
            number = visit.random.randrange(1000)
            async with visit.asking():
                expect_answer(await client.get(f'/page/{number}'), 200, page_text(number))


async def greetings(visit: Visit) -> None:
    """Another client library, with query strings."""
    async with visit.aiohttp() as session:
        for _ in range(5):
            name = f'Zoë & {visit.random.randrange(1000)}'
            async with visit.asking(), session.get('/hello', params={'name': name}) as answer:
                expect(answer.status, await answer.read(), 200, f'Hello, {name}!')


async def small_files(visit: Visit) -> None:
    """Files in the directory: as they are, compressed beforehand, and only their header."""
    files = visit.traffic.files
    async with visit.httpx() as client:
        for name in 'page.html', 'style.css':
            async with visit.asking():
                expect_answer(await client.get(f'/static/{name}'), 200, files[name])
        async with visit.asking():
            answer = await client.head('/static/page.html')
            expect_answer(answer, 200, b'')
            if answer.headers['Content-Length'] != str(len(files['page.html'])):
                raise Wrong('Content-Length of HEAD')


async def large_files(visit: Visit) -> None:
    async with visit.httpx() as client, visit.asking():
        expect_answer(await client.get('/static/large.bin'), 200, visit.traffic.files['large.bin'])


async def conditions(visit: Visit) -> None:
    """A cache that asks whether its copy is still good."""
    content = visit.traffic.files['page.html']
    async with visit.httpx() as client:
        async with visit.asking():
            answer = await client.get('/static/page.html')
            expect_answer(answer, 200, content)
        tag, date = answer.headers['ETag'], answer.headers['Last-Modified']
        for name, value, status in [('If-None-Match', tag, 304), ('If-Modified-Since', date, 304),
                                    ('If-None-Match', '"other"', 200), ('If-Match', '"other"', 412)]:
            async with visit.asking():
                answer = await client.get('/static/page.html', headers={name: value})
                expect_answer(answer, status, {304: b'', 200: content}.get(status))


async def ranges(visit: Visit) -> None:
    content = visit.traffic.files['large.bin']
    async with visit.httpx() as client:
        for _ in range(3):
            start = visit.random.randrange(len(content))
            part = content[start:start + visit.random.randrange(1, 5000)]
            async with visit.asking():
                headers = {'Range': f'bytes={start}-{start + len(part) - 1}'}
                expect_answer(await client.get('/static/large.bin', headers=headers), 206, part)
        async with visit.asking():
            headers = {'Range': f'bytes={len(content)}-'}
            expect_answer(await client.get('/static/large.bin', headers=headers), 416)


async def uploads(visit: Visit) -> None:
    """A file that the board writes as it comes; then it is fetched and removed."""
    content = visit.random_bytes(1, 50_000)
    path = f'/uploads/{visit.number}'
    try:
        async with visit.httpx() as client:
            async with visit.asking():
                files = {'file': ('data.bin', content)}
                answer = await client.post(path, data={'comment': 'x' * 100}, files=files)
                expect_json(answer, {'size': len(content)})
            async with visit.asking():
                expect_answer(await client.get(path), 200, content)
            async with visit.asking():
                expect_answer(await client.delete(path), 204, b'')
    finally:  # where the board could not
        visit.traffic.upload_path(visit.number).unlink(missing_ok=True)


async def forms(visit: Visit) -> None:
    """A form with a file that becomes a temporary one on the board if it is longer than 1 KB."""
    content = visit.random_bytes(1, 4000)
    comment = 'ünïcode ' * visit.random.randrange(20)
    async with visit.httpx() as client, visit.asking():
        answer = await client.post('/form', data={'comment': comment}, files={'file': ('data.bin', content)})
        expect_json(answer, {'comment': comment, **digest(content)})


async def json_posts(visit: Visit) -> None:
    async with visit.httpx() as client:
        for _ in range(2):
            values = [visit.random.randrange(10_000) for _ in range(visit.random.randrange(100))]
            async with visit.asking():
                answer = await client.post('/json', json={'values': values})
                expect_json(answer, {'sum': sum(values), 'values': values})


async def chunked_posts(visit: Visit) -> None:
    async def chunks(content: bytes) -> 'AsyncIterator[bytes]':
        for start in range(0, len(content), 700):
            yield content[start:start + 700]

    async with visit.httpx() as client:
        async with visit.asking():
            content = visit.random_bytes(1, 3000)
            expect_answer(await client.post('/echo', content=chunks(content)), 200, content)
        async with visit.asking():
            content = visit.random_bytes(1, 30_000)
            expect_json(await client.post('/digest', content=chunks(content)), digest(content))


async def streams(visit: Visit) -> None:
    """A body from a generator; and one whose generator fails, so that its end must be missing."""
    count = 2 * visit.random.randrange(1, 30)
    text = ''.join(f'line {i}\n' for i in range(count))
    async with visit.httpx() as client, visit.asking():
        expect_answer(await client.get(f'/stream/{count}'), 200, text)
    async with visit.asking():
        reader, writer = await visit.connect()
        with contextlib.closing(writer):
            writer.write(b'GET /stream/9 HTTP/1.1\r\nHost: a\r\n\r\n')
            answer = await asyncio.wait_for(reader.read(-1), TIMEOUT)
            if answer.startswith(b'HTTP/1.1 503 '):
                raise Refused
            if answer and (b'line 8\n' not in answer or answer.endswith(b'0\r\n\r\n')):
                raise Wrong('a failure has to be seen')
            if not answer:
                raise EOFError


async def echoes(visit: Visit) -> None:
    """A WebSocket that echoes texts and binary messages."""
    async with visit.asking():
        try:
            async with connect_websocket(visit.traffic.ws_url + '/ws', proxy=None, compression=None,
                                         open_timeout=TIMEOUT) as ws:
                for _ in range(10):
                    content = visit.random_bytes(0, 1500)
                    message = content.hex() if visit.random.random() < 0.5 else content
                    await ws.send(message)
                    if await asyncio.wait_for(ws.recv(), TIMEOUT) != message:
                        raise Wrong('another message')
                    visit.tally.messages += 1
                await asyncio.wait_for(await ws.ping(), TIMEOUT)
        except websockets.InvalidStatus as exc:
            expect(exc.response.status_code, b'', 101)


async def pushes(visit: Visit) -> None:
    """A WebSocket on which only the server speaks, and which it closes."""
    count = visit.random.randrange(10, 30)
    async with visit.asking(), visit.aiohttp() as session:
        try:
            async with session.ws_connect(f'/push/{count}') as ws:
                for i in range(count):
                    message = await ws.receive(TIMEOUT)
                    if message.data != f'message {i}':
                        raise Wrong(f'{message!r} instead of message {i}')
                    visit.tally.messages += 1
                message = await ws.receive(TIMEOUT)
                if message.type != aiohttp.WSMsgType.CLOSE or message.data != 1000:
                    raise Wrong(f'{message!r} instead of the end')
        except aiohttp.WSServerHandshakeError as exc:
            expect(exc.status, b'', 101)


async def events(visit: Visit) -> None:
    count = visit.random.randrange(10, 30)
    async with visit.httpx() as client, visit.asking():
        async with httpx_sse.aconnect_sse(client, 'GET', f'/events/{count}') as source:
            expect(source.response.status_code, b'', 200)
            seen = [(event.event, event.id, event.json()) async for event in source.aiter_sse()]
        if seen != [('tick', str(i), {'number': i}) for i in range(count)]:
            raise Wrong(f'other events: {seen!r}')
        visit.tally.messages += count


async def pipelined(visit: Visit) -> None:
    """Five requests in one piece. A board that has to close says so, and answers no more of them."""
    numbers = [visit.random.randrange(1000) for _ in range(5)]
    with contextlib.suppress(Over):
        reader, writer = await open_or_refuse(visit)
        with contextlib.closing(writer):
            writer.write(b''.join(b'GET /page/%d HTTP/1.1\r\nHost: a\r\n\r\n' % number for number in numbers))
            for i, number in enumerate(numbers):
                async with visit.asking():
                    status, headers, body = await read_response(reader)
                    expect(status, body, 200, page_text(number))
                if headers.get('connection') == 'close':
                    await expect_end(visit, reader)
                    for _ in numbers[i + 1:]:
                        with contextlib.suppress(Over):
                            visit.refuse('Connection: close')
                    return


async def expect_end(visit: Visit, reader: asyncio.StreamReader) -> None:
    rest = b''
    try:
        rest = await asyncio.wait_for(reader.read(1), TIMEOUT)
    except TIMEOUTS as exc:
        visit.fail(exc)
    except OSError:
        pass
    if rest:
        visit.fail(Wrong('more after the last response'))


async def open_or_refuse(visit: Visit) -> 'tuple[asyncio.StreamReader, asyncio.StreamWriter]':
    try:
        return await visit.connect()
    except OSError as exc:
        visit.refuse(repr(exc))


async def read_response(reader: asyncio.StreamReader) -> 'tuple[int, dict[str, str], bytes]':
    """Read a response with a Content-Length, or one that ends with the connection."""
    head = await asyncio.wait_for(reader.readuntil(b'\r\n\r\n'), TIMEOUT)
    first, *lines = head.decode('latin-1').split('\r\n')[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(':') for line in lines)}
    if not first.startswith('HTTP/1.1 '):
        raise Wrong(first)
    length = headers.get('content-length')
    body = await asyncio.wait_for(reader.readexactly(int(length)) if length else reader.read(), TIMEOUT)
    return int(first.split(' ')[1]), headers, body


async def errors(visit: Visit) -> None:
    """What an application, or HTTP itself, answers with an error."""
    cases: 'list[tuple[str, str, dict[str, Any], int, str | None]]' = [
        ('GET', '/nothing', {}, 404, 'Not found'),
        ('DELETE', '/json', {}, 405, 'Method not allowed'),
        ('GET', '/static/nothing', {}, 404, 'Not found'),
        ('POST', '/echo', {'content': visit.random_bytes(66_000, 99_000)}, 413, 'Payload too large'),
        ('GET', '/fail', {}, 500, 'Internal server error'),
        ('POST', '/json', {'content': b'{"values": [', 'headers': {'Content-Type': 'application/json'}}, 400, None),
        ('GET', '/page/' + '1' * 2500, {}, 414, None),
        ('GET', '/page/1', {'headers': {'X-Long': 'x' * 2500}}, 431, None),
    ]
    for method, path, options, status, body in visit.random.sample(cases, 4):
        async with visit.httpx() as client, visit.asking():
            expect_answer(await client.request(method, path, **options), status, body)


# Clients that do what they should not

def reset(writer: asyncio.StreamWriter) -> None:
    """Leave at once: the other side gets an RST."""
    sock = writer.get_extra_info('socket')
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    writer.transport.abort()


async def send_and_leave(visit: Visit, data: bytes, wait: float = 0, read: int = 0) -> None:
    async with visit.leaving():
        reader, writer = await visit.connect()
        try:
            writer.write(data)
            await asyncio.sleep(wait)
            if read:
                await asyncio.wait_for(reader.readexactly(read), TIMEOUT)
        finally:
            if visit.random.random() < 0.5:
                reset(writer)
            else:
                writer.close()


async def leaves_at_once(visit: Visit) -> None:
    await send_and_leave(visit, b'')


async def half_headers(visit: Visit) -> None:
    await send_and_leave(visit, b'GET /page/1 HTTP/1.1\r\nHost: exam', visit.random.random())


async def stalls(visit: Visit) -> None:
    """Half of the headers, and then silence: the board has to end that."""
    async with visit.leaving():
        reader, writer = await visit.connect()
        with contextlib.closing(writer):
            writer.write(b'GET /page/1 HTTP/1.1\r\nHost: exam')
            answer = await asyncio.wait_for(reader.read(), TIMEOUT)
            if answer and answer[:13] not in (b'HTTP/1.1 408 ', b'HTTP/1.1 503 '):
                visit.fail(Wrong('not 408'))


async def resets_in_body(visit: Visit) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + visit.random_bytes(0, 9000)
    path, kind, body = visit.random.choice([
        (b'/uploads/%d' % visit.number, b'multipart/form-data; boundary=b', part),
        (b'/form', b'multipart/form-data; boundary=b', part),
        (b'/json', b'application/json', b'{"values": [1, 2'),
    ])
    head = b'POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: 40000\r\n\r\n' % (path, kind)
    await send_and_leave(visit, head + body, visit.random.random() / 2)


async def leaves_a_file(visit: Visit) -> None:
    await send_and_leave(visit, b'GET /static/large.bin HTTP/1.1\r\nHost: a\r\n\r\n', read=5000)


async def leaves_events(visit: Visit) -> None:
    await send_and_leave(visit, b'GET /events/500 HTTP/1.1\r\nHost: a\r\n\r\n', visit.random.random(), 50)


async def leaves_a_websocket(visit: Visit) -> None:
    """Neither a close frame nor an end, but a reset, in the middle of a message."""
    async with visit.leaving():
        ws = await connect_websocket(visit.traffic.ws_url + '/ws', proxy=None, compression=None, open_timeout=TIMEOUT)
        await ws.send('x' * 1000)
        ws.transport.write(b'\x82\xfe\x03\xe8abcd' + bytes(500))
        await asyncio.sleep(visit.random.random() / 4)
        ws.transport.abort()


async def too_large_messages(visit: Visit) -> None:
    async with visit.leaving():
        async with connect_websocket(visit.traffic.ws_url + '/ws', proxy=None, compression=None,
                                     open_timeout=TIMEOUT) as ws:
            try:
                await ws.send(bytes(6000))
                await asyncio.wait_for(ws.recv(), TIMEOUT)
                visit.fail(Wrong('a message that is too large came back'))
            except websockets.ConnectionClosed as exc:
                if exc.rcvd and exc.rcvd.code != 1009:
                    visit.fail(Wrong(f'{exc.rcvd!r} instead of 1009'))


async def garbage(visit: Visit) -> None:
    async with visit.leaving():
        reader, writer = await visit.connect()
        with contextlib.closing(writer):
            writer.write(visit.random.choice([b'GET ', b'', b'\x16\x03\x01', b'POST / HTTP/1.1\r\n'])
                         + visit.random_bytes(1, 1500) + b'\r\n\r\n')
            answer = await asyncio.wait_for(reader.read(), TIMEOUT)
            if answer and answer[:10] not in (b'HTTP/1.1 4', b'HTTP/1.1 5', b'HTTP/1.0 4', b'HTTP/1.0 5'):
                visit.fail(Wrong('no error'))


async def slow_reader(visit: Visit) -> None:
    """Takes a file so slowly that the board has to wait for it."""
    content = visit.traffic.files['large.bin']
    async with visit.asking():
        reader, writer = await visit.connect(receive_buffer=4096)
        with contextlib.closing(writer):
            writer.write(b'GET /static/large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
            parts = []
            while part := await asyncio.wait_for(reader.read(16_384), TIMEOUT):
                parts.append(part)
                await asyncio.sleep(0.05)
            head, _, body = b''.join(parts).partition(b'\r\n\r\n')
            if not head:
                raise EOFError
            expect(int(head[9:12]), body, 200, content)


async def slow_sender(visit: Visit) -> None:
    content = visit.random_bytes(20, 1000)
    async with visit.asking():
        reader, writer = await visit.connect()
        with contextlib.closing(writer):
            head = b'POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n'
            request = head % len(content) + content
            step = len(request) // 20
            for start in range(0, len(request), step):
                writer.write(request[start:start + step])
                await asyncio.sleep(0.03)
            status, _, body = await read_response(reader)
            expect(status, body, 200, content)


async def crowd(visit: Visit) -> None:
    """More clients at a time than the board takes."""
    await asyncio.gather(*[visit.traffic.run_visit('crowd', one_of_many) for _ in range(visit.traffic.connections + 4)])


async def one_of_many(visit: Visit) -> None:
    async with visit.asking():
        reader, writer = await visit.connect()
        with contextlib.closing(writer):
            await asyncio.sleep(0.2)  # until all are connected
            writer.write(b'GET /page/20 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
            status, _, body = await read_response(reader)
            expect(status, body, 200, page_text(20))


async def keeps_idle(visit: Visit) -> None:
    """Asks once and says no more: the board has to close the connection."""
    async with visit.asking():
        reader, writer = await visit.connect()
        with contextlib.closing(writer):
            writer.write(b'GET /page/3 HTTP/1.1\r\nHost: a\r\n\r\n')
            status, _, body = await read_response(reader)
            expect(status, body, 200, page_text(3))
            if await asyncio.wait_for(reader.read(), TIMEOUT):
                raise Wrong('more than a response')


KINDS = {
    'pages': Kind(pages, 8, 3),
    'query strings': Kind(greetings, 5, 5),
    'small files': Kind(small_files, 5, 3),
    'large files': Kind(large_files, 2, 1),
    'conditions': Kind(conditions, 3, 5),
    'ranges': Kind(ranges, 3, 4),
    'uploads': Kind(uploads, 4, 3),
    'forms': Kind(forms, 3, 1),
    'JSON posts': Kind(json_posts, 5, 2),
    'chunked posts': Kind(chunked_posts, 4, 2),
    'streams': Kind(streams, 2, 2),
    'WebSocket echo': Kind(echoes, 3, 1),
    'WebSocket push': Kind(pushes, 3, 1),
    'events': Kind(events, 3, 1),
    'pipelined': Kind(pipelined, 3, 5),
    'errors': Kind(errors, 4, 4),
    'slow readers': Kind(slow_reader, 1, 1),
    'slow senders': Kind(slow_sender, 1, 1),
    'crowd': Kind(crowd, 0.3, 12),
    'idle': Kind(keeps_idle, 0.2, 1),
    'connect and leave': Kind(leaves_at_once, 2, 1),
    'half headers': Kind(half_headers, 2, 1),
    'stalled headers': Kind(stalls, 0.2, 1),
    'reset in the body': Kind(resets_in_body, 2, 1),
    'leave a file': Kind(leaves_a_file, 2, 1),
    'leave events': Kind(leaves_events, 2, 1),
    'leave a WebSocket': Kind(leaves_a_websocket, 2, 1),
    'too large messages': Kind(too_large_messages, 1, 1),
    'garbage': Kind(garbage, 2, 1),
}
