"""Whatever bytes arrive: well-formed responses and a clean end, and never a reading of a request of our own.

``h11`` and ``httptools`` are the second and third opinion: where both of them accept and agree, we agree or refuse.

"""
import asyncio
import re
from collections import Counter
from collections.abc import Iterator

import h11
import httptools
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from helpers import changed
from microdot import Microdot, Request, Response
from microdot.test_client import TestClient
from support import Log, Parsed, take_response
from wire_cases import GROUPS, load_cases
from wire_requests import LIMITS

TIME_LIMIT = 5  # seconds, for one exchange
METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'QUERY']

#: method, target, headers (names in lower case), body
Seen = tuple[str, str, dict[str, str], bytes]


# ---------------------------------------------------------------------------------------------------------------
# Our opinion
# ---------------------------------------------------------------------------------------------------------------

def make_app() -> Microdot:
    """Return an application that records the requests that it sees, of any method and path, in ``app.seen``."""
    app = Microdot()
    app.seen = []

    def record(request: Request) -> dict[str, str]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        app.seen.append((request.method, request.url, headers, request.body))
        return {}

    async def see(request: Request, rest: str = '') -> str:
        record(request)
        return 'seen'

    async def tell_method(request: Request | None, response: Response) -> None:
        if request:  # tells responses to HEAD, which have no body
            response.headers['X-Method'] = request.method

    app.route('/', METHODS)(see)
    app.route('/<path:rest>', METHODS)(see)
    app.errorhandler(404)(see)
    app.errorhandler(405)(see)
    app.options_handler = record
    app.after_request(tell_method)
    app.after_error_request(tell_method)
    return app


async def exchange(app: Microdot, pieces: list[bytes]) -> list[Parsed]:
    """Send ``pieces`` and return the responses; anything but well-formed ones, a hang or a log line fails."""
    with Log() as log:
        data = await asyncio.wait_for(TestClient(app).exchange(pieces), TIME_LIMIT)
    assert not log.lines
    responses: list[Parsed] = []
    while data:
        assert not responses or 'close' not in responses[-1].options(), 'a response after the last one'
        response, data = take_any_response(data, pieces)
        assert not response.is_cut
        responses.append(response)
    return responses


def take_any_response(data: bytes, pieces: list[bytes]) -> tuple[Parsed, bytes]:
    """Parse a response to a request of unknown method."""
    response, rest = take_response(data, 'HEAD')
    if not response.get('X-Method') and not rest and b'HEAD' in b''.join(pieces):  # HEAD, but malformed
        return response, rest
    return take_response(data, response.get('X-Method') or 'GET')


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return ``data`` in pieces that are not empty (an empty one would be its end)."""
    positions = [0, *sorted({position % (len(data) + 1) for position in cuts}), len(data)]
    return [data[a:b] for a, b in zip(positions, positions[1:]) if a < b]


@pytest.fixture(scope='module')
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


# ---------------------------------------------------------------------------------------------------------------
# The other opinions: the complete requests that it sees, and how it leaves the rest of the bytes
# ---------------------------------------------------------------------------------------------------------------

Other = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]
Opinion = tuple[list[Other], str]  # 'refused', 'waiting' for more or 'done'


def normalize_field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    name, value = name.lower(), value.strip(b' \t')
    return name, value.lower() if name == b'transfer-encoding' else value  # h11 does that


def ask_h11(data: bytes) -> Opinion:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    requests: list[Other] = []
    try:
        while connection.our_state is h11.IDLE:
            request, body = connection.next_event(), b''
            if not isinstance(request, h11.Request):  # NEED_DATA
                return requests, 'waiting' if connection.trailing_data[0] else 'done'
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    return requests, 'waiting'
                body += bytes(event.data)
            fields = [normalize_field(name, value) for name, value in request.headers]
            requests.append((request.method, request.target, fields, body))
            answer_h11(connection)
    except h11.RemoteProtocolError:
        return requests, 'refused'
    return requests, 'done'  # whatever follows "Connection: close"


def answer_h11(connection: h11.Connection) -> None:
    # a refusal, so that CONNECT and Upgrade do not change the protocol
    connection.send(h11.Response(status_code=405, headers=[('Content-Length', '0')]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is h11.DONE:
        connection.start_next_cycle()


class Callbacks:
    """What ``httptools`` calls."""

    def __init__(self) -> None:
        self.requests: list[Other] = []
        self.in_message = False

    def on_message_begin(self) -> None:
        self.in_message = self.in_header = True
        self.target = self.body = b''
        self.fields: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_header:  # or else it is a trailer
            self.fields.append(normalize_field(name, value))

    def on_headers_complete(self) -> None:
        self.in_header = False
        self.method = self.parser.get_method()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.in_message = False
        self.requests.append((self.method, self.target, self.fields, self.body))


def ask_httptools(data: bytes) -> Opinion:
    callbacks = Callbacks()
    callbacks.parser = httptools.HttpRequestParser(callbacks)
    try:
        callbacks.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return callbacks.requests, 'refused'
    return callbacks.requests, 'waiting' if callbacks.in_message else 'done'


# ---------------------------------------------------------------------------------------------------------------
# The comparison
# ---------------------------------------------------------------------------------------------------------------

def texts(value: bytes) -> set[str]:
    """Return what a value may be as ``str``: HTTP does not say which encoding it has, and each line has its own."""
    lines = []
    for line in value.split(b', '):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError:
            lines.append(line.decode('latin-1'))
    return {value.decode('latin-1'), value.decode('utf-8', 'replace'), ', '.join(lines)}


def join_fields(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Join repeated fields (RFC 9110 section 5.3, RFC 9113 section 8.2.3)."""
    joined: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in joined:
            value = joined[name] + (b'; ' if name == b'cookie' else b', ') + value
        joined[name] = value
    return joined


def compare(ours: Seen, other: Other) -> None:
    method, target, fields, body = other
    headers = join_fields(fields)
    absolute = re.match(rb'(?i)https?://([^/?]*)(.*)', target)
    if absolute:  # RFC 9112 section 3.2.2: its authority replaces Host
        headers[b'host'], target = absolute.groups()
        target = target if target.startswith(b'/') else b'/' + target
    assert ours[0] == method.decode()
    assert ours[1] == target.decode()
    assert ours[2].keys() == {name.decode() for name in headers}
    for name, value in headers.items():
        mine = ours[2][name.decode()]
        assert (mine.lower() if name == b'transfer-encoding' else mine) in texts(value)
    assert ours[3] == body


def check_agreement(ours: list[Seen], responses: list[Parsed], data: bytes) -> str:
    """Compare opinions. Return ``'compared'`` where all three have accepted everything, else what was different."""
    (by_h11, end_of_h11), (by_httptools, end_of_httptools) = ask_h11(data), ask_httptools(data)
    for mine, one, two in zip(ours, by_h11, by_httptools):
        if one != two:
            return 'they disagree'
        compare(mine, one)
    if 'refused' in (end_of_h11, end_of_httptools):
        return 'refused by one'
    if len(by_h11) != len(by_httptools):
        return 'they disagree on the number'
    assert len(ours) <= len(by_h11), 'a request that neither of them sees'
    if 'waiting' in (end_of_h11, end_of_httptools):
        return 'they wait for more'
    if [response for response in responses if response.status >= 400 and response.body != b'seen']:
        return 'we refuse'
    assert len(ours) == len(by_h11), 'a request that we do not see'
    return 'compared'


# ---------------------------------------------------------------------------------------------------------------
# Strategies
# ---------------------------------------------------------------------------------------------------------------

token = st.text('abcXYZ019-_.!#', min_size=1, max_size=8).map(str.encode)
value = st.one_of(
    st.text('abc ,;:=\t"\\/()', max_size=12).map(lambda text: text.strip(' \t').encode()),
    st.sampled_from([b'caf\xc3\xa9', b'caf\xe9', b'\x80']))

methods = st.sampled_from([b'GET', b'POST', b'GET', b'POST', b'PUT', b'HEAD', b'DELETE', b'OPTIONS', b'TRACE', b'get'])
targets = st.sampled_from([
    b'/', b'/a', b'/a/b?c=d', b'/?', b'/%41%zz%', b'//', b'/a:b@c', b'/caf%C3%A9', b'/a?http://b', b'*',
    b'http://h/a?b', b'http://h', b'https://[::1]:8/?', b'/<>"{}|^`\\'])
versions = st.sampled_from([b'HTTP/1.1'] * 6 + [b'HTTP/1.0'] * 2 + [b'HTTP/1.2', b'HTTP/2.0', b'http/1.1'])
fields = st.one_of(
    st.tuples(token, value),
    st.tuples(st.just(b'Connection'),
              st.sampled_from([b'close', b'keep-alive', b'Keep-Alive', b'upgrade', b'x, close'])),
    st.tuples(st.just(b'Cookie'), st.sampled_from([b'a=1', b'b=2; c=3'])),
    st.tuples(st.just(b'Expect'), st.sampled_from([b'100-continue', b'other'])),
    st.tuples(st.just(b'Upgrade'), st.just(b'websocket')),
)
#: What makes parsers disagree when it is in the wrong place.
morsels = st.sampled_from([
    b'\r', b'\n', b'\r\n', b'\r\n\r\n', b'\n\n', b' ', b'\t', b'\x00', b'\x0b', b'\xff', b':', b',', b';', b'0', b'+',
    b'-', b'_', b'x', b'#', b'?', b'/', b' HTTP/1.1', b'Host: b\r\n', b'Connection: close\r\n',
    b'Content-Length: 3\r\n', b'Content-Length: 3, 3\r\n', b'Transfer-Encoding: chunked\r\n',
    b'Transfer-Encoding: x\r\n', b'Transfer-Encoding:\x0bchunked\r\n', b' folded\r\n', b'0\r\n\r\n',
    b'5\r\nhello\r\n', b'GET / HTTP/1.1\r\nHost: a\r\n\r\n'])


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    data = b''
    for chunk in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        size = draw(st.sampled_from(['%x', '%X', '%04x'])) % len(chunk)
        extension = draw(st.sampled_from([b'', b'', b'', b';a', b';a=b', b';a="b"']))
        data += size.encode() + extension + b'\r\n' + chunk + b'\r\n'
    trailers = draw(st.sampled_from([b'', b'', b'X: y\r\n', b'A: b\r\nContent-Length: 7\r\n']))
    return data + b'0\r\n' + trailers + b'\r\n'


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is valid, but for what ``targets`` and ``versions`` have in them on purpose."""
    lines = [b' '.join([draw(methods), draw(targets), draw(versions)]),
             b'Host: ' + draw(st.sampled_from([b'a', b'a:80', b'']))]
    for name, text in draw(st.lists(fields, max_size=3)):
        lines.append(name + b':' + draw(st.sampled_from([b' ', b'', b'\t ']))
                     + text + draw(st.sampled_from([b'', b'', b' '])))
    framing = draw(st.sampled_from(['none', 'none', 'length', 'chunked']))
    body = b''
    if framing == 'length':
        body = draw(st.one_of(st.binary(max_size=40), st.sampled_from([b'a' * 33, b'a' * 64, b'a' * 65])))
        lines.append(b'Content-Length: %d' % len(body))
    elif framing == 'chunked':
        body = draw(chunked_bodies())
        lines.append(b'Transfer-Encoding: ' + draw(st.sampled_from([b'chunked', b'Chunked'])))
    return b'\r\n'.join([*lines, b'', b'']) + body


@st.composite
def streams(draw: st.DrawFn, max_mutations: int) -> bytes:
    """Some requests, one behind the other, with a few mutations."""
    data = b''.join(draw(st.lists(requests(), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, max_mutations))):
        data = draw(mutations(data))
    return data


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    kind = draw(st.sampled_from(['insert', 'replace', 'delete', 'repeat line', 'line end', 'random']))
    if kind in ('repeat line', 'line end'):
        lines = data.split(b'\r\n')
        i = draw(st.integers(0, len(lines) - 1))
        if kind == 'repeat line':
            return b'\r\n'.join([*lines[:i], lines[i], *lines[i:]])
        end = draw(st.sampled_from([b'\n', b'\r', b'', b'\n\r', b'\r\r\n']))
        return b'\r\n'.join(lines[:i + 1]) + end + b'\r\n'.join(lines[i + 1:])
    start = draw(st.integers(0, len(data)))
    length = 0 if kind == 'insert' else draw(st.integers(1, 4))
    if kind == 'delete':
        new = b''
    else:
        new = draw(st.binary(min_size=1, max_size=3) if kind == 'random' else morsels)
    return data[:start] + new + data[start + length:]


cuts = st.lists(st.integers(0, 1000), max_size=5)


# ---------------------------------------------------------------------------------------------------------------
# The tests
# ---------------------------------------------------------------------------------------------------------------

def examples(n: int) -> settings:
    return settings(max_examples=n, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def test_any_bytes_give_responses_or_a_clean_close(loop):
    @examples(1000)
    @given(st.one_of(st.binary(max_size=300), st.lists(st.one_of(morsels, st.binary(max_size=8))).map(b''.join)), cuts)
    def run(data: bytes, where: list[int]) -> None:
        loop.run_until_complete(exchange(make_app(), cut(data, where)))

    run()


def test_mutated_requests_give_responses_or_a_clean_close(loop):
    statuses: Counter[int] = Counter()

    @examples(1500)
    @given(streams(6), cuts)
    def run(data: bytes, where: list[int]) -> None:
        with changed(Request, **LIMITS):
            responses = loop.run_until_complete(exchange(make_app(), cut(data, where)))
        statuses.update(response.status for response in responses)

    run()
    for status in (100, 200, 400, 413, 417, 505):
        assert statuses[status], f'no {status} among {statuses}'


def test_pieces_do_not_change_the_answer(loop):
    @examples(500)
    @given(streams(3), cuts)
    def run(data: bytes, where: list[int]) -> None:
        answers = []
        for pieces in (cut(data, []), cut(data, where), cut(data, list(range(len(data))))):
            app = make_app()
            responses = loop.run_until_complete(exchange(app, pieces))
            answers.append((app.seen, [(response.status, response.body) for response in responses]))
        assert answers[0] == answers[1] == answers[2]

    run()


def test_other_parsers_agree(loop):
    counts: Counter[str] = Counter()

    @examples(2500)
    @given(st.one_of(streams(0), streams(1), streams(3)), cuts)
    def run(data: bytes, where: list[int]) -> None:
        app = make_app()
        responses = loop.run_until_complete(exchange(app, cut(data, where)))
        result = check_agreement(app.seen, responses, data)
        counts[result] += 1
        event(result)

    run()
    assert counts['compared'] > 200, counts  # the comparison is not vacuous
    for result in ('we refuse', 'refused by one'):
        assert counts[result], counts


def test_other_parsers_agree_on_the_wire_cases(loop):
    counts: Counter[str] = Counter()
    with changed(Request, **LIMITS | {'max_body_length': LIMITS['max_content_length']}):
        for _, data, _ in [row for group in GROUPS for row in load_cases(group)]:
            app = make_app()
            responses = loop.run_until_complete(exchange(app, [data]))
            counts[check_agreement(app.seen, responses, data)] += 1
    assert counts['compared'] > 80, counts
