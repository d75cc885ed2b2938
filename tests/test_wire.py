"""Every row of tests/wire_cases.py, brought to the server in many ways: through memory and over sockets.

A way to serve is a parameter of what stands above the tests: ``exchange(app, pieces)`` returns all that the server
sends until it closes the connection, ``serve(app, port)`` listens until ``app.shutdown()``.

"""
import asyncio
import gc

from helpers import ON_MICROPYTHON, FakeWriter, changed
from microdot import Request
from microdot.microdot import Server
from microdot.test_client import TestClient
from support import (
    PROBE,
    PROBE_REPLY,
    BadResponse,
    Failures,
    Incomplete,
    Log,
    Reply,
    Talk,
    at_a_time,
    behind_probe,
    close,
    closes,
    expect,
    keeps,
    probe,
    read_replies,
    send,
    serving,
    take_response,
)
from wire_app import Pieces, make_app
from wire_cases import GROUPS, load_cases, load_failing_cases
from wire_requests import CONTINUE, HELLO, LIMITS, chunks, expecting, get, length, post, request

ROW_TIME = 20  # seconds, for one row in one mode
MAX_CLIENTS = 48  # at a time
if ON_MICROPYTHON:  # fewer on a small heap
    gc.collect()
    MAX_CLIENTS = max(2, min(48, gc.mem_free() // 20_000))


async def exchange_in_memory(app, pieces):
    return await TestClient(app).exchange(pieces)


async def serve_portably(app, port):
    await app.start_server('127.0.0.1', port)


# ---------------------------------------------------------------------------------------------------------------
# Modes: a row becomes lists of pieces, each of which the server reads at once, and what must come out
# ---------------------------------------------------------------------------------------------------------------

def whole(data, outcome):
    yield 'whole', [data], outcome


BYTES = [bytes([i]) for i in range(256)]  # each once, since a heap holds no slices of long requests


def in_bytes(data):
    return [BYTES[byte] for byte in data]


def bytewise(data, outcome):
    yield 'byte by byte', in_bytes(data), outcome


def split(data, outcome):
    for i in range(1, len(data)):
        yield 'split at %d' % i, [data[:i], data[i:]], outcome


def pipelined(data, outcome):
    yield 'behind a request', [PROBE + data], behind_probe(outcome)


async def check_rows(rows, mode, run, n):
    """Await ``run(pieces, outcome)`` for all rows in this mode, ``n`` at a time. Returns what was logged."""
    failures = Failures()

    async def check_row(row):
        name, data, expected = row
        for label, pieces, outcome in mode(data, expected):
            try:
                await asyncio.wait_for(run(pieces, outcome), ROW_TIME)
            except Exception as exc:
                failures.add(name, label, pieces, exc)
                break  # one failure of a row is enough

    with Log() as log:
        await at_a_time(n, rows, check_row)
    failures.raise_any(log.lines)
    return log.lines


async def check_rows_in_memory(exchange, rows, mode):
    """Run rows through memory; another request comes after each, to see whether the connection is open."""
    app = make_app()

    async def run(pieces, outcome):
        app.calls.clear()
        outcome.check_all(await exchange(app, pieces + [PROBE]))
        check_calls(app.calls, outcome)

    with changed(Request, **LIMITS):
        return await check_rows(rows, mode, run, 1)


def check_calls(calls, outcome):
    """Check that nothing of a refused request has reached a handler or a hook."""
    if outcome.is_refusal:
        expected = [(when, 'GET', '/') for when in ('before', 'after')] * (len(outcome.replies) - 1)
        expect('calls', calls == expected, expected, calls)


async def check_rows_over_sockets(serve, rows, mode, linger_timeout):
    """Run rows over sockets, many at a time; connections that must stay open are used for another request."""
    app = make_app()
    app.max_connections = 2 * MAX_CLIENTS
    app.linger_timeout = linger_timeout
    # what goes byte by byte goes slowly, and its end must arrive before the server stops to listen
    clients = MAX_CLIENTS // 2 if mode is bytewise else MAX_CLIENTS
    with changed(Request, **LIMITS), changed(Server, sweep_period=0.02):
        async with serving(serve, app) as port:
            talk = Talk(port)

            async def run(pieces, outcome):
                app.calls.clear()  # of no use here, and a list that grows is hard on a small heap
                await talk.run(pieces, outcome)

            return await check_rows(rows, mode, run, clients)


def check_silence(log):
    expect('log', not log, [], log)


# ---------------------------------------------------------------------------------------------------------------
# Every row in every mode
# ---------------------------------------------------------------------------------------------------------------

# Seconds. A board's server cannot half-close: a client sees the end of the connection only after this time
LINGER = max(0.05, 0.004 * MAX_CLIENTS) if ON_MICROPYTHON else 5  # where all is sent at once
LONG_LINGER = max(0.15, 0.02 * MAX_CLIENTS) if ON_MICROPYTHON else 5


def test_there_are_many_rows_with_names_of_their_own():
    names = set()
    check_names(load_failing_cases(), names)
    for group in GROUPS:
        check_names(load_cases(group), names)
    assert len(names) >= 150


def check_names(rows, names):
    for name, data, outcome in rows:
        assert name not in names, name
        names.add(name)
        assert data and outcome.replies, name


async def test_rows_in_memory():
    for group in GROUPS:
        check_silence(await check_rows_in_memory(exchange_in_memory, load_cases(group), whole))


async def test_rows_byte_by_byte_in_memory():
    for group in GROUPS:
        check_silence(await check_rows_in_memory(exchange_in_memory, load_cases(group), bytewise))


async def test_rows_split_at_every_byte_in_memory():
    for group in GROUPS:
        check_silence(await check_rows_in_memory(exchange_in_memory, load_cases(group), split))


async def test_rows_behind_a_request_in_memory():
    for group in GROUPS:
        check_silence(await check_rows_in_memory(exchange_in_memory, load_cases(group), pipelined))


async def test_rows_over_sockets():
    for group in GROUPS:
        check_silence(await check_rows_over_sockets(serve_portably, load_cases(group), whole, LINGER))


async def test_rows_byte_by_byte_over_sockets():
    for group in GROUPS:
        check_silence(await check_rows_over_sockets(serve_portably, load_cases(group), bytewise, LONG_LINGER))


async def test_rows_behind_a_request_over_sockets():
    for group in GROUPS:
        check_silence(await check_rows_over_sockets(serve_portably, load_cases(group), pipelined, LINGER))


async def test_rows_in_which_the_application_fails():
    rows = load_failing_cases()
    for mode in (whole, bytewise, split, pipelined):
        for row in rows:
            log = await check_rows_in_memory(exchange_in_memory, [row], mode)
            assert log and 'RuntimeError' in log[0], (row[0], log)
    for mode in (whole, pipelined):
        log = await check_rows_over_sockets(serve_portably, rows, mode, LINGER)
        assert len(log) == len(rows) and 'RuntimeError' in log[0], log


async def test_nothing_of_a_refused_request_reaches_a_handler():
    app = make_app()
    count = 0
    with changed(Request, **LIMITS):
        for group in GROUPS:
            count += await check_refused(app, [row for row in load_cases(group) if row[2].is_refusal])
        await exchange_in_memory(app, [PROBE])
    assert count >= 100
    assert len(app.calls) == 2  # they do record


async def check_refused(app, rows):
    for name, data, _ in rows:
        for pieces in ([data], in_bytes(data)):
            await exchange_in_memory(app, pieces + [PROBE])
            assert not app.calls, (name, app.calls)
    return len(rows)


# ---------------------------------------------------------------------------------------------------------------
# What a row cannot say
# ---------------------------------------------------------------------------------------------------------------

async def test_requests_cut_short():
    """RFC 9112 section 8: a request that ends too early is never handled; an error may be sent."""
    rows = (get(b'/x', b'X: y\r\n'), length(b'5'), chunks(b'2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nA: b\r\n\r\n'),
            expecting(b'100-continue'), b'GET / HTTP/1.0\nX: y\n\n')
    app = make_app()
    with Log() as log:
        for data in rows:
            for i in range(len(data)):
                response = await exchange_in_memory(app, [data[:i]] if i else [])
                check_end_of_cut_request(response)
                assert not app.calls, data[:i]
    check_silence(log.lines)


def check_end_of_cut_request(data):
    interim = b'HTTP/1.1 100 Continue\r\n\r\n'
    if data[:len(interim)] == interim:
        data = data[len(interim):]
    if data:
        rest = closes(Reply(400, version=None)).take(data, True)
        expect('after the response', not rest, b'', rest)


async def test_longest_lines_of_the_default_limits():
    """What is long must not be too much for a regular expression or the stack, on a board either."""
    n = Request.max_readline - 100
    rows = (
        (get(b'/echo/' + b'a' * n), 200),
        (get(b'/echo/' + b'a/' * (n // 2)), 200),
        (get(b'/echo/a?' + b'%41&' * (n // 4)), 200),
        (get(b'http://' + b'a' * (n - 10) + b'/'), 200),
        (get(b'http://' + b'%41' * (n // 3 - 4) + b'/'), 200),
        (get(b'/' + b'a' * n), 404),
        (request(b'A' * n + b' / HTTP/1.1'), 405),
        (b'GET / HTTP/1.1\r\nHost: ' + b'a' * n + b'\r\n\r\n', 200),
        (b'GET / HTTP/1.1\r\nHost: ' + b'%41' * (n // 3) + b'\r\n\r\n', 200),
        (b'GET / HTTP/1.1\r\nHost: ' + b'a' * n + b'/\r\n\r\n', 400),
        (b'GET / HTTP/1.1\r\nHost: a:' + b'1' * n + b'\r\n\r\n', 200),
        (b'GET / HTTP/1.1\r\nHost: [' + b':' * n + b'\r\n\r\n', 400),
        (get(b'/', b'X: ' + b'\xc3\xa9' * (n // 2) + b'\r\n'), 200),
        (get(b'/', b'A' * n + b': y\r\n'), 200),
        (get(b'/', b'Connection: ' + b'a,' * (n // 2) + b'\r\n'), 200),
        (get(b'/cookies', b'Cookie: ' + b'a=1; ' * (n // 5) + b'\r\n'), 200),
        (post(b'Transfer-Encoding: ' + b'a,' * (n // 2) + b'a\r\n'), 501),
        (length(b'9' * n), 413),
        (length(b'5,' * (n // 2) + b'5'), 200),
        (chunks(b'5;' + b'a' * n + b'\r\nhello\r\n0\r\n\r\n'), 200),
        (chunks(b'5\r\nhello\r\n0\r\nX: ' + b'a' * n + b'\r\n\r\n'), 200),
    )
    failures = Failures()
    with Log() as log:
        for data, status in rows:
            try:
                response, _ = take_response(await exchange_in_memory(make_app(), [data]))
                expect('status', response.status == status, status, response.status)
            except Exception as exc:
                failures.add('%d bytes' % n, 'in memory', [data[:60], b' ... ', data[-20:]], exc)
    failures.raise_any(log.lines)
    check_silence(log.lines)


async def check_continue(reader, writer):
    """Be a client that waits for ``100 Continue`` before it sends the body (RFC 9110 section 10.1.1)."""
    data = expecting(b'100-continue')
    await send(writer, [data[:-5]])
    await read_replies(reader, keeps(CONTINUE))
    await send(writer, [data[-5:]])
    await read_replies(reader, keeps(HELLO))
    assert await probe(reader, writer, True) == b''


async def test_continue_comes_before_the_body():
    async with serving(serve_portably, make_app()) as port:
        reader, writer = await asyncio.open_connection('127.0.0.1', port)
        try:
            await asyncio.wait_for(check_continue(reader, writer), ROW_TIME)
        finally:
            await close(writer)


async def test_refusal_of_a_large_upload_can_be_read():
    """The client reads only when it has sent everything (RFC 9112 section 9.6)."""
    size = 100000 if ON_MICROPYTHON else 4000000
    refusals = (
        (post(b'Content-Length: %d\r\n' % size), 413),
        (post(b'Transfer-Encoding: chunked\r\n', b'%x\r\n' % size), 413),
        (post(b'Transfer-Encoding: gzip\r\n'), 501),
        (request(b'GET / HTTP/2.0'), 505),
        (b'GET /' + b'a' * 20000, 414),
    )
    async with serving(serve_portably, make_app()) as port:
        talk = Talk(port)

        async def run(refusal):
            data, status = refusal
            pieces = [data] + [b'a' * 10000] * (size // 10000)
            await asyncio.wait_for(talk.run(pieces, closes(Reply(status, version=None))), ROW_TIME)

        await at_a_time(len(refusals), refusals, run)


async def test_a_bad_connection_does_not_reach_another():
    async with serving(serve_portably, make_app()) as port:
        talk = Talk(port)
        reader, writer = await asyncio.open_connection('127.0.0.1', port)
        await send(writer, [get(b'/x', b'X: y\r\n')[:-2]])
        for data in (b'garbage\r\n\r\n', length(b'999999'), chunks(b'x\r\n'), get(b'/generator')[:-3]):
            _, bad_writer = await asyncio.open_connection('127.0.0.1', port)
            await send(bad_writer, [data])
            await close(bad_writer)
            await talk.run([PROBE], keeps(PROBE_REPLY))
        await send(writer, [b'\r\n'])
        await read_replies(reader, keeps(Reply(200, b'[y]')))
        await probe(reader, writer, True)
        await close(writer)


async def fetch(line):
    data = await exchange_in_memory(make_app(), [request(line)])
    response, rest = take_response(data, line.split(b' ')[0].decode())
    assert not rest, rest
    return response


async def test_head_sends_the_headers_of_get():
    for path in (b'/', b'/text', b'/dict', b'/generator', b'/reader', b'/sized', b'/cookie', b'/none',
                 b'/redirect', b'/status/204', b'/status/304', b'/unknown', b'/abort/403', b'/close'):
        got = await fetch(b'GET ' + path + b' HTTP/1.1')
        head = await fetch(b'HEAD ' + path + b' HTTP/1.1')
        assert got.status == head.status, (path, got.status, head.status)
        fields = [sorted([pair for pair in answer.headers if pair[0] != 'date']) for answer in (got, head)]
        assert fields[0] == fields[1], (path, fields)


async def test_head_does_not_read_the_body():
    app = make_app()
    bodies = []

    @app.get('/pieces')
    async def pieces(request):
        bodies.append(Pieces(b'a', b'b'))
        return bodies[-1]

    for method in (b'HEAD', b'GET'):
        await exchange_in_memory(app, [request(method + b' /pieces HTTP/1.1')])
    assert [body.was_read for body in bodies] == [False, True]
    assert [body.was_closed for body in bodies] == [True, True]


class CountingWriter(FakeWriter):
    """Keeps every write by itself."""

    def __init__(self):
        super().__init__()
        self.writes = []

    async def awrite(self, data):
        self.writes.append(bytes(data))


class OnePiece:
    """A client that sends this, and no more."""

    def __init__(self, data):
        self.data = data

    async def read(self, n):
        data = self.data
        self.data = b''
        return data


async def test_head_and_small_body_leave_in_one_write():
    for data in (get(b'/'), get(b'/text'), get(b'/dict'), get(b'/none'), get(b'/unknown'), b'garbage\r\n\r\n'):
        writer = CountingWriter()
        await make_app().handle_request(OnePiece(data), writer)
        assert len(writer.writes) == 1, writer.writes
        assert writer.is_closed


# ---------------------------------------------------------------------------------------------------------------
# The judge is judged: tests/support.py
# ---------------------------------------------------------------------------------------------------------------

DATE = b'Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n'
EMPTY = b'Content-Length: 0\r\n'
CHUNKED = b'Transfer-Encoding: chunked\r\n'


def answer(lines=b'', body=b'', line=b'HTTP/1.1 200 OK'):
    return line + b'\r\n' + DATE + lines + b'\r\n' + body


def test_parser_accepts_good_responses():
    for data, method, body in (
            (answer(b'Content-Length: 2\r\n', b'ab'), 'GET', b'ab'),
            (answer(b'Content-Length: 2\r\n'), 'HEAD', b''),
            (answer(CHUNKED, b'1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n'), 'GET', b'a0123456789'),
            (answer(b'', b'ab', b'HTTP/1.0 200 OK'), 'GET', b'ab'),
            (answer(line=b'HTTP/1.1 204 No Content'), 'GET', b''),
            (answer(b'Content-Length: 5\r\n', line=b'HTTP/1.1 304 Not Modified'), 'GET', b'')):
        response, rest = take_response(data, method)
        assert (response.body, rest, response.is_cut) == (body, b'', False), data


def test_parser_refuses_bad_responses():
    for data in (
            answer(EMPTY, line=b'HTTP/1.1  200 OK'),
            answer(EMPTY, line=b'HTTP/1.1 200 Okay'),
            answer(EMPTY, line=b'HTTP/2.0 200 OK'),
            answer(EMPTY, line=b'HTTP/1.1 20 OK'),
            answer(EMPTY, line=b'HTTP/1.1 200'),
            answer(EMPTY + b'X : y\r\n'),
            answer(EMPTY + b'X: y\nZ: z\r\n'),
            answer(EMPTY + b'X: \x00\r\n'),
            answer(EMPTY + b'X\r\n'),
            answer(EMPTY + b': y\r\n'),
            answer(EMPTY + EMPTY),
            answer(b'Content-Length: +0\r\n'),
            answer(EMPTY + CHUNKED, b'0\r\n\r\n'),
            answer(b'Transfer-Encoding: gzip\r\n'),
            answer(CHUNKED, b'0\r\n\r\n', b'HTTP/1.0 200 OK'),
            answer(CHUNKED, b'1\r\nab0\r\n\r\n'),
            answer(CHUNKED, b'0x1\r\na\r\n0\r\n\r\n'),
            answer(CHUNKED, b'\r\n'),
            answer(EMPTY, line=b'HTTP/1.1 204 No Content'),
            answer(b'', b'ab')):
        try:
            take_response(data)
        except BadResponse:
            continue
        raise AssertionError('accepted: %r' % data)


def test_parser_sees_where_a_response_is_cut_off():
    for data in (answer(b'Content-Length: 2\r\n', b'a'), answer(CHUNKED, b'1\r\na\r\n'),
                 answer(CHUNKED, b'1\r\na\r\n0\r\n')):
        assert take_response(data)[0].is_cut
        for end in range(len(data)):
            try:
                take_response(data[:end], is_eof=False)
            except Incomplete:
                continue
            raise AssertionError('complete: %r' % data[:end])


def test_judge_sees_what_is_wrong():
    good = answer(b'Content-Length: 5\r\n', b'hello')
    closing = answer(b'Content-Length: 5\r\nConnection: close\r\n', b'hello')
    keeps(HELLO).check_all(good + good)
    closes(HELLO).check_all(closing)
    for data, outcome in (
            (good, keeps(HELLO)), (good, closes(HELLO)), (closing, keeps(HELLO)), (b'', closes(HELLO)),
            (good + closing, closes(HELLO)), (3 * good, keeps(HELLO)), (good[:-1], closes(HELLO)),
            (good[:20], closes(HELLO)), (2 * good, keeps(Reply(404))), (2 * good, keeps(Reply(200, b'other'))),
            (2 * good, keeps(Reply(200, headers={'X': 'y'}))),
            (2 * good, keeps(Reply(200, absent=('Content-Length',))))):
        try:
            outcome.check_all(data)
        except AssertionError:
            continue
        raise AssertionError('accepted: %r' % data)
