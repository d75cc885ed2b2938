"""Forms as others send them, and as nobody should: conformance, real clients, mutations, and bodies that take time."""
import asyncio
import hashlib
import json
import os
import random
import re
import subprocess
import time
from base64 import b64decode
from pathlib import Path

import aiohttp
import httpx
import memory_transport
import multipart
import pytest
import python_multipart
import requests
from multipart_form_data_conformance import get_tests_dir
from selenium.webdriver.common.by import By
from server_process import INTERPRETERS, free_port
from test_browser import driver as driver  # the fixture

from helpers import changed
from microdot import Microdot, Request
from microdot.microdot import HTTPException
from microdot.multipart import FileUpload, FormDataIter, MultipartParser, boundary_of, with_form_data
from microdot.test_client import TestClient
from multipart_cases import BODIES, END, MALFORMED, NAMES, collect, field, in_pieces, part, upload

HERE = Path(__file__).parent

# ---------------------------------------------------------------------------------------------------------------
# Conformance
# ---------------------------------------------------------------------------------------------------------------

#: Cases that the suite accepts as options and that are refused here, and why.
REFUSED = {
    '061-lf-only-lenient': 'RFC 2046 sections 4.1.1 and 5.1.1: a line break is CRLF, in a delimiter too',
    '062-mixed-endings': 'RFC 2046 section 4.1.1: a line break is CRLF',
    '208-duplicate-headers': 'RFC 7578 section 4.2: a part has one name; others would read the other one',
    '210-control-chars-in-name': 'RFC 9110 section 5.5: NUL is dangerous in a field value, and refused in any',
}
CASES = {path.parent.name: path.parent for path in sorted(get_tests_dir().glob('*/*/test.json'))}


def load_case(path):
    headers = json.loads((path / 'headers.json').read_text())
    return headers['content-type'], (path / 'input.raw').read_bytes(), json.loads((path / 'test.json').read_text())


def parse_case(path):
    content_type, body, case = load_case(path)
    headers = []

    class Recorder(MultipartParser):
        def feed(self, chunk):
            events = super().feed(chunk)
            headers.extend(event.headers for event in events if hasattr(event, 'headers'))
            return events

    return collect(Recorder(boundary_of(content_type)), [body]), headers, case['expected']


def test_the_suite_is_complete():
    assert len(CASES) >= 50
    assert REFUSED.keys() <= CASES.keys()


@pytest.mark.parametrize('name', CASES)
def test_conformance(name):
    if name in REFUSED:
        _, _, case = load_case(CASES[name])
        assert case['expected']['valid'] and 'optional' in case['tags']
        expected = {'valid': False}
    else:
        expected = load_case(CASES[name])[2]['expected']
    if not expected['valid']:
        with pytest.raises(HTTPException) as error:
            parse_case(CASES[name])
        assert error.value.status_code == 400
        return
    parts, headers, _ = parse_case(CASES[name])
    assert len(parts) == len(expected['parts'])
    for found, fields, wanted in zip(parts, headers, expected['parts']):
        check_part(found, wanted)
        assert all(fields[key] == value for key, value in wanted.get('headers', {}).items())


def check_part(found, wanted):
    name, filename, content_type, content = found
    assert name == wanted['name']
    assert filename == (wanted.get('filename_star') or wanted.get('filename'))
    if 'content_type' in wanted:
        assert content_type == wanted['content_type']
    if 'body_text' in wanted:
        assert content == wanted['body_text'].encode()
    if 'body_base64' in wanted:
        assert content == b64decode(wanted['body_base64'])
    if 'body_sha256' in wanted:
        assert hashlib.sha256(content).hexdigest() == wanted['body_sha256']
    assert len(content) == wanted.get('body_size', len(content))


# ---------------------------------------------------------------------------------------------------------------
# Clients
# ---------------------------------------------------------------------------------------------------------------

TEXT = 'text/plain'
BYTES = 'application/octet-stream'
FIELDS = [
    ('plain', 'text'),
    ('twice', 'one'),
    ('twice', 'two'),
    ('a "quoted"; name', 'a "quoted"; value'),
    ('gr\xfc\xdfe', 'gr\xfc\xdfe \u4e16\U0001f331'),
    ('empty', ''),
    ('lines', 'a\r\nb\r\n\r\n--c\r\n'),
    ('back\\slash', '%22 \\" & %'),
]
FILES = [
    ('files', 'a.txt', TEXT, b'hello'),
    ('files', 'a "quoted"; filename=x.txt', TEXT, b'quoted\n'),
    ('files', '\xfcn\xef \u4e16\U0001f331.txt', TEXT, b'text' * 1000),
    ('empty', 'empty.txt', TEXT, b''),
    ('binary', 'all.bin', BYTES, bytes(range(256)) * 300 + b'\r\n--\r\n--'),
]


def expected_parts(fields, files):
    return [[name, '', '', value] for name, value in fields] + [
        [name, filename, kind, content.hex()] for name, filename, kind, content in files]


def by_kind_and_name(parts):
    """Return the parts as the decorator gives them: in order among those of a name."""
    return sorted([p for p in parts if not p[2]], key=lambda p: p[0]) + sorted([p for p in parts if p[2]],
                                                                               key=lambda p: p[0])


class UploadServer:
    def __init__(self, interpreter):
        port = free_port()
        self.url = f'http://127.0.0.1:{port}'
        source = str(HERE.parent.parent / 'src')
        self.process = subprocess.Popen(
            [*INTERPRETERS[interpreter], str(HERE / 'upload_app.py'), str(port)],
            env={**os.environ, 'PYTHONPATH': source, 'MICROPYPATH': source + ':.frozen'},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        end = time.monotonic() + 10
        while not self.answers():
            assert time.monotonic() < end and self.process.poll() is None

    def answers(self):
        try:
            return requests.get(self.url, timeout=5).status_code == 200
        except requests.ConnectionError:
            time.sleep(0.02)
            return False


@pytest.fixture(scope='module', params=['cpython', 'micropython'])
def server(request):
    server = UploadServer(request.param)
    yield server
    server.process.terminate()
    output, _ = server.process.communicate(timeout=10)
    assert b'Traceback' not in output, output.decode()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The files, and the values of the fields as files, because arguments of a program have no line breaks."""
    folder = tmp_path_factory.mktemp('files')
    for _, filename, _, content in FILES:
        (folder / filename).write_bytes(content)
    return folder


def send_with_requests(url, fields, files, folder):
    return requests.post(url, data=fields, timeout=20, files=[
        (name, (filename, content, kind)) for name, filename, kind, content in files]).json()


def send_with_httpx(url, fields, files, folder):
    data = {}
    for name, value in fields:
        data.setdefault(name, []).append(value)
    with httpx.Client(timeout=20, trust_env=False) as client:
        return client.post(url, data=data, files=[
            (name, (filename, content, kind)) for name, filename, kind, content in files]).json()


def send_with_aiohttp(url, fields, files, folder):
    return asyncio.run(post_with_aiohttp(url, fields, files, quote_fields=False))


async def post_with_aiohttp(url, fields, files, **options):
    form = aiohttp.FormData(**options, default_to_multipart=True)
    for name, value in fields:
        form.add_field(name, value)
    for name, filename, kind, content in files:
        form.add_field(name, content, filename=filename, content_type=kind)
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as response:
        return await response.json()


def send_with_curl(url, fields, files, folder, *options):
    arguments = ['curl', '-sS', '--noproxy', '*', '--max-time', '20', *options]
    for name, value in fields:
        arguments += ['--form-string', f'{name}={value}']
    for name, filename, kind, _ in files:
        path = str(folder / filename).replace('"', '\\"')
        arguments += ['-F', f'{name}=@"{path}";type={kind}']
    return json.loads(subprocess.run([*arguments, url], capture_output=True, check=True).stdout)


def send_with_curl_that_escapes(url, fields, files, folder):
    return send_with_curl(url, fields, files, folder, '--form-escape')


CLIENTS = [send_with_requests, send_with_httpx, send_with_aiohttp, send_with_curl, send_with_curl_that_escapes]


@pytest.mark.parametrize('client', CLIENTS)
def test_clients(server, folder, client):
    expected = expected_parts(FIELDS, FILES)
    assert client(server.url + '/iterator', FIELDS, FILES, folder) == expected
    assert client(server.url + '/decorator', FIELDS, FILES, folder) == by_kind_and_name(expected)


@pytest.mark.parametrize('client', CLIENTS)
def test_clients_with_files_only(server, folder, client):
    assert client(server.url + '/iterator', [], FILES[:1], folder) == expected_parts([], FILES[:1])


def test_aiohttp_as_it_is(server):
    """By default it sends names of files percent-encoded (RFC 7578 section 4.2), which nobody decodes."""
    fields = [('plain', 'text'), ('a "quoted"; name', 'gr\xfc\xdfe')]
    parts = asyncio.run(post_with_aiohttp(server.url + '/iterator', fields, FILES[:1]))
    assert parts == expected_parts(fields, FILES[:1])


FILL_IN = '''
const form = document.getElementById('form');
for (const [name, value] of arguments[0]) {
    const area = document.createElement('textarea');
    area.name = name;
    area.value = value;
    form.append(area);
}
for (const name of arguments[1]) {
    const input = document.createElement('input');
    input.type = 'file';
    input.multiple = true;
    input.name = name;
    form.append(input);
}'''
SEND = '''
const [url, fields, files, done] = arguments;
const form = new FormData();
for (const [name, value] of fields)
    form.append(name, value);
for (const [name, filename, kind, content] of files)
    form.append(name, new File([Uint8Array.from(content)], filename, {type: kind}));
fetch(url, {method: 'POST', body: form}).then(response => response.json()).then(done, error => done(String(error)));'''


def fill_in(driver, url, fields, files, folder):
    """Fill in a form, and return how it is sent from there."""
    driver.get(url)
    names = list(dict.fromkeys(name for name, *_ in files)) + ['nothing chosen']
    driver.execute_script(FILL_IN, fields, names)
    for name in names[:-1]:
        paths = [str(folder / filename) for found, filename, *_ in files if found == name]
        driver.find_element(By.CSS_SELECTOR, f'input[name="{name}"]').send_keys('\n'.join(paths))


def test_a_form_in_chromium(server, folder, driver):
    fill_in(driver, server.url, FIELDS, FILES, folder)
    # the same bytes to both handlers
    parts = driver.execute_async_script('''const done = arguments[1];
        fetch(arguments[0], {method: 'POST', body: new FormData(document.getElementById('form'))})
            .then(response => response.json()).then(done, error => done(String(error)));''', server.url + '/iterator')
    expected = expected_parts(FIELDS, FILES) + [['nothing chosen', '', BYTES, '']]
    # FormData holds the values of a textarea with LF, and the encoding of the form makes that CRLF
    assert parts == expected
    driver.find_element(By.ID, 'form').submit()
    end = time.monotonic() + 10
    while 'decorator' not in driver.current_url:
        assert time.monotonic() < end
    assert json.loads(driver.find_element(By.TAG_NAME, 'pre').text) == by_kind_and_name(expected)


def test_form_data_in_chromium(server, driver):
    driver.get(server.url)
    files = [(name, filename, kind, list(content)) for name, filename, kind, content in FILES]
    for path, order in ('/iterator', list), ('/decorator', by_kind_and_name):
        parts = driver.execute_async_script(SEND, server.url + path, FIELDS, files)
        assert parts == order(expected_parts(FIELDS, FILES))


# ---------------------------------------------------------------------------------------------------------------
# Mutations
# ---------------------------------------------------------------------------------------------------------------

TOKENS = [b'\r\n', b'\r', b'\n', b'--', b'-', b'--bound', b'\r\n--bound', b'\r\n--bound--', b'--bound\r\n',
          b'--bound--\r\n', b'\r\n\r\n', b'"', b'\\', b';', b'=', b':', b' ', b'\t', b'\0', b'\xff', b'%22', b'%', b"'",
          b'*', b'name="', b'filename="', b"filename*=UTF-8''", b'Content-Disposition: form-data; name=a\r\n',
          b'Content-Type: ', b'form-data', b'--BOUND', b'--boun', b'\r\n ']


def seeds():
    """Return the bodies of all tests, with the boundary ``bound``."""
    bodies = [body for _, body, _ in BODIES] + [body for _, body in MALFORMED]
    bodies += [part(disposition, b'1') + END for disposition, _, _ in NAMES]
    bodies.append(b''.join([field(name.replace('"', '%22').encode(), value.encode()) for name, value in FIELDS]
                           + [upload(name.encode(), filename.replace('"', '%22').encode(), content[:600], kind.encode())
                              for name, filename, kind, content in FILES]) + END)
    for path in CASES.values():
        content_type, body, _ = load_case(path)
        bodies.append(body[:600].replace(boundary_of(content_type), b'bound'))
    return bodies


def mutate(body, rng):
    """Return a body with one to four mistakes."""
    data = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        i = rng.randrange(len(data) + 1)
        j = min(len(data), i + rng.choice((1, 1, 2, 3, 10, 60)))
        kind = rng.randrange(7)
        if kind == 0 and i < len(data):
            data[i] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[i:j]
        elif kind == 2:
            data[i:i] = rng.choice(TOKENS)
        elif kind == 3:
            data[i:i] = data[i:j] * rng.choice((1, 1, 2, 5))
        elif kind == 4:
            data[i:j] = data[i:j][::-1]
        elif kind == 5:
            data[i:i] = rng.randbytes(rng.choice((1, 1, 4)))
        else:
            swap_tokens(data, i, rng)
    return bytes(data)


def swap_tokens(data, start, rng):
    """Replace a token by another one."""
    old, new = rng.choice(TOKENS), rng.choice(TOKENS)
    i = data.find(old, start)
    if i >= 0:
        data[i:i + len(old)] = new


def random_pieces(data, rng):
    if rng.randrange(4) == 0:
        return in_pieces(data, rng.choice((1, 2, 3, 7, 64)))
    ends = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))
    return [data[i:j] for i, j in zip([0, *ends], [*ends, len(data)])]


class Stopwatch:
    """A parser that measures its calls: none may take longer than the loop may be stopped."""

    LIMIT = 0.1  # seconds of the CPU, which the others on a busy machine do not use up, for a piece of at most 64 KB

    def __init__(self, **limits):
        self.parser = MultipartParser(b'bound', **limits)
        self.finish = self.parser.finish
        self.slowest = 0

    @property
    def is_done(self):
        return self.parser.is_done

    def feed(self, chunk):
        begin = time.thread_time()
        try:
            return self.parser.feed(chunk)
        finally:
            self.slowest = max(self.slowest, time.thread_time() - begin)


def outcome(pieces, **limits):
    """Return the parts, or the status of the refusal. The machine may be busy: the fastest of three counts."""
    slowest = []
    for _ in range(3):
        parser = Stopwatch(**limits)
        try:
            result = collect(parser, pieces)
        except HTTPException as exc:
            assert exc.status_code in (400, 413) and isinstance(exc.reason, str)
            result = exc.status_code
        slowest.append(parser.slowest)
        if min(slowest) < Stopwatch.LIMIT:
            return result
    raise AssertionError(f'{min(slowest)} s')


def check_types(parts):
    for name, filename, content_type, content in parts:
        assert isinstance(name, str) and isinstance(content, bytes)
        assert filename is None or isinstance(filename, str)
        assert content_type is None or isinstance(content_type, str)


def parse_like_others(body):
    """Return the parts that another parser finds, or None."""
    parts = []
    segment = None
    content = bytearray()
    try:
        with multipart.PushMultipartParser(b'bound', strict=True) as parser:
            for event in parser.parse(body):
                if event is None:
                    parts.append((segment.name, segment.filename, segment.content_type, bytes(content)))
                elif isinstance(event, bytearray):
                    content += event
                else:
                    segment = event
                    content = bytearray()
    except multipart.MultipartError:
        return None
    return parts


#: Bodies that one of the others understands in another way, against the sections of the RFCs that are named.
DIFFERENT = {
    'preamble and epilogue': 'RFC 2046 section 5.1.1: refused',
    'a preamble like a boundary': 'RFC 2046 section 5.1.1: refused',
    'transport padding': 'RFC 2046 section 5.1.1: refused',
    'a part without content': 'RFC 2046 section 5.1.1: its boundary is taken for content',
    'folding': 'RFC 5322 section 2.2.3: refused',
}


def parse_like_python_multipart(body):
    """Return the contents of the parts that one more parser finds, or None."""
    contents = []
    parser = python_multipart.MultipartParser(b'bound', {
        'on_part_begin': lambda: contents.append(b''),
        'on_part_data': lambda data, start, end: contents.append(contents.pop() + data[start:end])})
    try:
        parser.write(body)
        parser.finalize()
    except python_multipart.exceptions.MultipartParseError:
        return None
    return contents


@pytest.mark.parametrize('name, body, expected', BODIES, ids=[name for name, *_ in BODIES])
def test_others_find_the_same(name, body, expected):
    """A parser that refuses a body in its strict mode is not asked further."""
    contents = [content for *_, content in expected]
    others = parse_like_others(body)
    agree = others is None or [content for *_, content in others] == contents
    assert (agree and parse_like_python_multipart(body) == contents) == (name not in DIFFERENT)


def is_comparable(body):
    """Tell if both parsers mean the same by a body.

    RFC 2046 section 5.1.1 allows padding after a boundary, and a part without even an empty content, whose boundary
    follows the empty line at once. The other one takes both for content.

    """
    return not re.search(rb'--bound[ \t]|[^\r\n]\r\n\r\n--bound', body)


PLAIN = frozenset('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-')


def check_against(parts, others, body):
    """Contents are always the same. Names are where they need no rules for quoting, which differ."""
    assert [content for *_, content in parts] == [content for *_, content in others], body
    for found, other in zip(parts, others):
        if b'*=' not in body and b'\\' not in body and b'%' not in body:
            for ours, theirs in zip(found[:2], other[:2]):
                if ours and theirs and PLAIN.issuperset(ours) and PLAIN.issuperset(theirs):
                    assert ours == theirs, body


LIMITS = [{}, {}, {}, {}, {'max_header_size': 60}, {'max_header_size': 90}, {'max_parts': 1}, {'max_parts': 2}]


@pytest.mark.parametrize('seed', range(10))
def test_mutations(seed):
    rng = random.Random(seed)
    bodies = seeds()
    accepted = compared = 0
    for _ in range(10000):
        body = mutate(rng.choice(bodies), rng)
        limits = rng.choice(LIMITS)
        parts = outcome([body], **limits)
        assert outcome(random_pieces(body, rng), **limits) == parts, body
        if not isinstance(parts, list):
            continue
        accepted += 1
        check_types(parts)
        others = parse_like_others(body) if is_comparable(body) else None
        if others is not None:
            compared += 1
            check_against(parts, others, body)
    assert accepted > 1000 and compared > 500, (accepted, compared)


def describe_block(block):
    """Return all that is known of a part, or the status of its refusal."""
    try:
        found = MultipartParser(b'bound').feed(b'--bound\r\n' + block + b'\r\n\r\n')
    except HTTPException as exc:
        return exc.status_code
    return [(event.name, event.raw_filename, event.filename, event.content_type, dict(event.headers))
            if hasattr(event, 'headers') else event for event in found]


def test_short_cuts_change_nothing(monkeypatch):
    """Headers of the usual form have a faster way; it finds what the other one finds, whatever the headers are."""
    rng = random.Random(1)
    blocks = [body.split(b'\r\n', 1)[1].split(b'\r\n\r\n')[0] for body in seeds() if body.count(b'\r\n') > 3]
    usual = field(b'a'), upload(b'f', b'a.txt'), upload(b'f', b'a b; c.txt'), upload(b'\xfc', '\u4e16'.encode())
    blocks += [body.split(b'\r\n', 1)[1].split(b'\r\n\r\n')[0] for body in usual] * 20
    blocks = [mutate(rng.choice(blocks), rng) for _ in range(30000)]
    found = [describe_block(block) for block in blocks]
    monkeypatch.setattr('microdot.multipart.read_plain', lambda part, block: False)
    for block, expected in zip(blocks, found):
        assert describe_block(block) == expected, block


# A whole server

def upload_app(results):
    app = Microdot()

    @app.post('/')
    @with_form_data
    async def index(request):
        results.append([value for name in sorted(request.form) for value in request.form.getlist(name)]
                       + [await file.read() for name in sorted(request.files)
                          for file in request.files.getlist(name)])
        return 'done'

    return app


def as_values(parts):
    """Return the values of parts as the application above does."""
    fields = [(name, decode(content)) for name, filename, _, content in parts if filename is None]
    files = [(name, content) for name, filename, _, content in parts if filename is not None]
    return [value for _, value in sorted(fields, key=lambda p: p[0]) + sorted(files, key=lambda p: p[0])]


def decode(content):
    try:
        return content.decode()
    except UnicodeError:
        return content.decode('latin-1')


@pytest.mark.parametrize('exchange', ['protocol', 'portable'])
async def test_mutations_to_a_server(exchange, tmp_path, monkeypatch):
    monkeypatch.setattr(FileUpload, 'temporary_directory', str(tmp_path))
    monkeypatch.setattr(FileUpload, 'max_memory_size', 16)
    monkeypatch.setattr(FormDataIter, 'buffer_size', 100)
    rng = random.Random(exchange)
    bodies = seeds()
    results = []
    app = upload_app(results)
    tasks = asyncio.all_tasks()
    for i in range(5000):
        body = mutate(rng.choice(bodies), rng)
        expected = outcome([body])
        with changed(Request, max_body_length=rng.choice((0, 50, 16384))):
            response = await send(app, random_pieces(body, rng), len(body), exchange)
        status = int(response[9:12])
        if isinstance(expected, list):
            assert (status, results) == (200, [as_values(expected)]), body
        else:
            assert (status, results) == (expected, []), body
        results.clear()
        assert not os.listdir(tmp_path), body
        if not i % 100:
            assert asyncio.all_tasks() == tasks
    assert asyncio.all_tasks() == tasks


async def send(app, pieces, size, exchange):
    head = (b'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n'
            b'Content-Type: multipart/form-data; boundary=bound\r\n\r\n' % size)
    pieces = [head, *filter(None, pieces)]
    if exchange == 'protocol':
        return await memory_transport.exchange(app, pieces)
    return await TestClient(app).exchange(pieces)


async def test_bodies_that_end_early(tmp_path, monkeypatch):
    """The client closes the connection at every byte of a body."""
    monkeypatch.setattr(FileUpload, 'temporary_directory', str(tmp_path))
    monkeypatch.setattr(FileUpload, 'max_memory_size', 16)
    results = []
    app = upload_app(results)
    body = field(b'a', b'1') + upload(b'f', b'a', b'x' * 50) + upload(b'f', b'b', b'x' * 10) + END
    tasks = asyncio.all_tasks()
    for limit in 0, 16384:
        with changed(Request, max_body_length=limit):
            for i in range(len(body)):
                for exchange in 'protocol', 'portable':
                    response = await send(app, [body[:i]], len(body), exchange)
                    assert response == b'' or int(response[9:12]) in (400, 200), (i, response)
                    assert not os.listdir(tmp_path), i
    assert asyncio.all_tasks() == tasks


# ---------------------------------------------------------------------------------------------------------------
# Bodies that take time
# ---------------------------------------------------------------------------------------------------------------

FILE = upload(b'f', b'a')[:-2]
HEADER = b'Content-Disposition: form-data; name=a\r\n'


def content_of(pattern, before=FILE):
    def body(size):
        return before + pattern * (size // len(pattern)) + b'\r\n' + END

    return body


def parts_of(one):
    def body(size):
        return one * (size // len(one)) + END

    return body


def headers_of(pattern):
    """Parts whose header blocks are as large as they may be."""
    line = pattern * ((4000 - len(HEADER)) // len(pattern))
    return parts_of(b'--bound\r\n' + HEADER + line + b'\r\n\r\n1\r\n')


def dispositions_of(pattern):
    return parts_of(part(b'; name=a' + pattern * ((4000 - len(HEADER)) // len(pattern)), b'1'))


HOSTILE = {
    'content': content_of(b'x'),
    'random content': lambda size: FILE + random.Random(1).randbytes(size) + b'\r\n' + END,
    'tiny parts': parts_of(field(b'a')),
    'tiny files': parts_of(upload(b'f', b'', b'x')),
    'almost a boundary': content_of(b'\r\n--boun'),
    'almost a boundary, and another letter': content_of(b'\r\n--bounD'),
    'boundaries without line break': content_of(b'\n--bound--'),
    'CR': content_of(b'\r'),
    'LF': content_of(b'\n'),
    'CRLF': content_of(b'\r\n'),
    'CR CR LF': content_of(b'\r\r\n'),
    'hyphens': content_of(b'-'),
    'lines of hyphens': content_of(b'\r\n-'),
    'lines of two hyphens': content_of(b'\r\n--'),
    'headers': headers_of(b'X: y\r\n'),
    'a header': headers_of(b'X: ' + b'y' * 3000),
    'folded headers': headers_of(b'X: y' + b'\r\n y' * 900),
    'headers of colons': headers_of(b'X: ' + b':' * 3000),
    'headers of spaces': headers_of(b'X: ' + b' ' * 3000),
    'semicolons': dispositions_of(b';'),
    'parameters': parts_of(part(b'; name=a' + b''.join([b';%d=' % i for i in range(700)]), b'1')),
    'quoted parameters': parts_of(part(b'; name=a' + b''.join([b';%d=""' % i for i in range(500)]), b'1')),
    'equals signs': dispositions_of(b'='),
    'quotes': dispositions_of(b'"'),
    'backslashes': parts_of(part(b'; name="' + b'\\' * 3900 + b'"', b'1')),
    'escaped quotes': parts_of(part(b'; name="' + b'\\"' * 1900 + b'"', b'1')),
    'percent signs': parts_of(part(b"; name=a; filename*=UTF-8''" + b'%41' * 1200, b'1')),
    'quotes in percent': parts_of(part(b'; name="' + b'%22' * 1200 + b'"', b'1')),
    'slashes': parts_of(part(b'; name=a; filename="' + b'/' * 3800 + b'"', b'1')),
    'drive letters': parts_of(part(b'; name=a; filename="' + b'C:' * 1900 + b'"', b'1')),
    'dots': parts_of(part(b'; name=a; filename="' + b'./' * 1900 + b'"', b'1')),
    'spaces': dispositions_of(b' '),
    'spaces in quotes': parts_of(part(b'; name="' + b' ' * 3900 + b'"', b'1')),
    'padding': parts_of(b'--bound' + b' \t' * 30 + b'\r\n' + field(b'a')[9:]),
    'epilogue': lambda size: field(b'a') + END + b'\r\n--bound\r\n' * (size // 11),
}


def seconds(body, size):
    """Return what it takes to parse a body, which is accepted."""
    pieces = in_pieces(body, size)
    begin = time.thread_time()
    for _ in range(3):
        parser = Stopwatch(max_parts=1 << 30, max_header_size=4200)
        for piece in pieces:
            parser.feed(piece)
        parser.finish()
        if parser.slowest < Stopwatch.LIMIT:
            break
    assert parser.slowest < Stopwatch.LIMIT
    return time.thread_time() - begin


def check_linear(small, large, size):
    """Four times the bytes take four times as long. Twelve times are let pass, and anything that is short."""
    assert len(large) > 3.5 * len(small)
    for _ in range(3):  # the machine may be busy
        if seconds(large, size) < max(1, 12 * seconds(small, size)):
            return
    raise AssertionError('it takes too long')


@pytest.mark.alone
@pytest.mark.once
@pytest.mark.parametrize('name', HOSTILE)
def test_time_is_linear(name):
    check_linear(HOSTILE[name](4 << 20), HOSTILE[name](16 << 20), 65536)


@pytest.mark.alone
@pytest.mark.once
@pytest.mark.parametrize('name', HOSTILE)
def test_time_is_linear_byte_by_byte(name):
    check_linear(HOSTILE[name](1 << 16), HOSTILE[name](1 << 18), 1)


def test_memory_is_bounded():
    """What a parser holds between two calls is less than a header block."""
    for name, make in HOSTILE.items():
        parser = MultipartParser(b'bound', max_parts=1 << 30)
        try:
            for piece in in_pieces(make(1 << 18), 1000):
                parser.feed(piece)
                held = sum(len(value) for value in vars(parser).values() if isinstance(value, (bytes, bytearray)))
                assert held < 10000, name
        except HTTPException:
            pass


async def test_the_loop_is_never_stopped(tmp_path, monkeypatch):
    """Others are served while a large form comes in."""
    monkeypatch.setattr(FileUpload, 'temporary_directory', str(tmp_path))
    results = []
    app = upload_app(results)
    gaps = []

    async def tick():
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0)
            gaps.append(time.perf_counter() - begin)

    body = b''.join([field(b'a', b'x' * 5000) + upload(b'f', b'a', b'\r\n--boun' * 10000) for _ in range(50)]) + END
    with changed(Request, max_content_length=1 << 30, max_body_length=0):
        ticker = asyncio.create_task(tick())
        response = await send(app, in_pieces(body, 65536), len(body), 'protocol')
        ticker.cancel()
    assert response.startswith(b'HTTP/1.1 200 ')
    assert len(results[0]) == 100
    assert sorted(gaps)[-3] < 0.1, sorted(gaps)[-5:]
    assert not os.listdir(tmp_path)
