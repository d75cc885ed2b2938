"""Forms with files: the parser, the iterator, the decorator, and what they leave behind."""
import asyncio
import os

from helpers import ON_MICROPYTHON, changed, create_request, logged_errors, raises, temporary_file
from live import Client, serving, until
from microdot import Microdot, Request, Response, abort, send_file
from microdot.microdot import HTTPException
from microdot.multipart import (
    FileUpload,
    FormDataIter,
    MultipartParser,
    Part,
    boundary_of,
    parse_options,
    with_form_data,
)
from microdot.part_headers import read_headers
from microdot.test_client import TestClient
from multipart_cases import (
    BODIES,
    CONTENT_TYPE,
    END,
    FILENAMES,
    MALFORMED,
    NAMES,
    collect,
    field,
    in_pieces,
    part,
    upload,
)

HEADERS = {'Content-Type': CONTENT_TYPE}
FORM = field(b'a', b'1') + upload(b'f', b'a.txt', b'hello') + field(b'b', b'2') + END


def posting(body, *fields):
    """Return the bytes of a request."""
    lines = [b'POST / HTTP/1.1', b'Host: a', b'Content-Type: ' + CONTENT_TYPE.encode()]
    lines += [b'Content-Length: %d' % len(body)] + list(fields)
    return b'\r\n'.join(lines) + b'\r\n\r\n' + body


def parse(chunks, **limits):
    return collect(MultipartParser(b'bound', **limits), chunks)


def refusal(chunks, **limits):
    """Return the status with which a parser refuses a body."""
    with raises(HTTPException) as error:
        parse(chunks, **limits)
    assert error.value.reason and error.value.reason != '%d error' % error.value.status_code  # it says what is wrong
    return error.value.status_code


def first_part(disposition):
    return MultipartParser(b'bound').feed(part(disposition, b'1'))[0]


# ---------------------------------------------------------------------------------------------------------------
# The parser
# ---------------------------------------------------------------------------------------------------------------

def test_events():
    parser = MultipartParser(b'bound')
    events = parser.feed(FORM[:-len(END)])
    assert [type(event) for event in events[:3]] == [type(events[0]), bytes, type(None)]
    assert events[0].name == 'a' and events[0].raw_filename is None and events[0].content_type is None
    assert events[0].headers == {'content-disposition': 'form-data; name="a"'}
    file = events[3]
    assert (file.name, file.raw_filename, file.filename) == ('f', 'a.txt', 'a.txt')
    assert file.content_type == file.headers['CONTENT-TYPE'] == 'text/plain'
    assert not parser.is_done
    with raises(HTTPException) as error:
        parser.finish()
    assert error.value.status_code == 400


def test_the_end():
    parser = MultipartParser(b'bound')
    assert parser.feed(b'') == []
    parser.feed(FORM[:-3])
    assert not parser.is_done
    parser.feed(b'-')
    assert parser.is_done
    parser.finish()
    for data in b'', b'\r', b'\n', b'--bound\r\n', FORM:
        assert parser.feed(data) == []
    parser.finish()
    assert parser.is_done


def test_content_is_not_held_back():
    """What cannot be a part of a boundary is an event at once, and what can be is short."""
    parser = MultipartParser(b'bound')
    parser.feed(upload(b'f', b'a')[:-2])
    size = 0
    for i in range(50):
        for event in parser.feed(b'0123456789'):
            size += len(event)
        assert size >= (i + 1) * 10 - len(b'\r\n--bound')


def test_bodies():
    for name, body, expected in BODIES:
        assert parse([body]) == expected, name


def test_bodies_byte_by_byte():
    for name, body, expected in BODIES:
        assert parse(in_pieces(body, 1)) == expected, name


def test_bodies_in_pieces_of_every_size():
    for name, body, expected in BODIES:
        for size in range(2, min(len(body), 40 if ON_MICROPYTHON else 1000)):
            assert parse(in_pieces(body, size)) == expected, (name, size)


def test_bodies_split_at_every_byte():
    for name, body, expected in BODIES:
        for i in range(len(body)):
            assert parse([body[:i], body[i:]]) == expected, (name, i)


def test_bodies_cut_at_every_byte():
    for name, body, expected in BODIES:
        first = 0
        for i in range(len(body)):
            parts = []
            try:
                collect(MultipartParser(b'bound'), [body[:i]], parts)
                assert body[:i].find(b'\r\n--bound--') >= 0 or body[:9] == b'--bound--', (name, i)
                assert parts == expected, (name, i)
                first = first or i
            except HTTPException as exc:
                assert exc.status_code == 400 and not first, (name, i)
                assert parts == expected[:len(parts)], (name, i)
        assert first or body == b'--bound--', name


def test_malformed_bodies():
    for name, body in MALFORMED:
        for chunks in [body], in_pieces(body, 1), in_pieces(body, 7):
            try:
                assert refusal(chunks) == 400
            except AssertionError:
                print(name)
                raise


def test_malformed_bodies_split_at_every_byte():
    for name, body in MALFORMED:
        for i in range(len(body)):
            with raises(HTTPException) as error:
                parse([body[:i], body[i:]])
            assert error.value.status_code == 400, (name, i)


def test_names():
    for disposition, name, filename in NAMES:
        found = first_part(disposition)
        assert (found.name, found.raw_filename) == (name, filename), disposition


def test_names_are_never_bytes_or_missing():
    for disposition in (b'; name="', b'; name="a', b'; name=a"b', b'; name="a"b; filename=c',
                        b'; name==a', b';;; name=a', b'; name="a";', b'; name=a; name=b', b'; name="\\',
                        b"; name*=UTF-8''a", b'; name=a; filename*=b',
                        b"; name=a; filename*=''", b"; name=a; filename*=x-unknown''a",
                        b"; name=a; filename*=UTF-8''%", b"; name=a; filename*=UTF-8''%ff",
                        b"; name=a; filename*=UTF-8''%zz%4", b'; name=a; filename*0=b; filename*1=c'):
        try:
            found = first_part(disposition)
        except HTTPException as exc:
            assert exc.status_code == 400, disposition
            continue
        assert isinstance(found.name, str), disposition
        assert found.raw_filename is None or isinstance(found.raw_filename, str), disposition


def percent_encoded(text):
    return b''.join([b'%%%02X' % byte for byte in text.encode()])


def test_filenames_are_safe():
    assert len(FILENAMES) >= 40
    for raw, expected in FILENAMES:
        found = first_part(b"; name=a; filename*=UTF-8''" + percent_encoded(raw))
        assert found.raw_filename == raw
        check_filename(found.filename, raw)
        assert expected is None or found.filename == expected, (raw, found.filename)


def check_filename(name, raw):
    assert name not in ('.', '..'), raw
    for character in name:
        assert character not in '/\\' and ord(character) >= 32 and ord(character) != 127, raw
    assert name[1:2] != ':' or not ('a' <= name[0].lower() <= 'z'), raw


def test_filenames_in_quotes_are_safe():
    for raw, expected in FILENAMES:
        if not [character for character in raw if ord(character) < 32 or ord(character) == 127]:
            quoted = raw.replace('\\', '\\\\').encode()
            found = first_part(b'; name=a; filename="' + quoted + b'"')
            assert found.raw_filename == raw
            check_filename(found.filename, raw)
            assert expected is None or found.filename == expected, (raw, found.filename)


def attributes(found):
    return found.name, found.raw_filename, found.filename, found.content_type


def mutations(blocks, count):
    """Return variants of headers: each has some bytes changed, doubled or dropped, always the same ones."""
    state = 1
    for i in range(count):
        block = blocks[i % len(blocks)]
        for _ in range(i % 4):
            state = state * 1103515245 + 12345 & 0x7fffffff
            pos = (state >> 8) % len(block)
            middle = (b'', block[pos:pos + 1] * 2, b'"', b'\\', b'%', b';', b'/', b':', b'.', b' ', b'\r\n', b'\0',
                      b'\x7f', b'\xfc', b'=', b'C')[(state >> 20) % 16]
            block = block[:pos] + middle + block[pos + 1:] or b' '
        yield block


def test_plain_headers_have_a_short_cut_that_finds_the_same():
    usual = [field(b'a'), field(b''), upload(b'f', b'a.txt'), upload(b'f', b'a b; c.txt'), upload(b'f', b''),
             upload(b'f', b'C:a.txt'), upload(b'f', b'..'), part(b'; name="a"; filename="b"')]
    blocks = [one.split(b'\r\n\r\n')[0][9:] for one in usual]
    count = 0
    for block in mutations(blocks, 3000):
        found = Part(block) if is_accepted(block) else None
        if found:
            count += 1
            expected = Part(blocks[0])
            read_headers(expected, block)
            assert attributes(found) == attributes(expected), block
    assert count > 1000


def is_accepted(block):
    """Tell whether the headers are in order; the short cut must refuse none and accept none but those."""
    results = []
    for read in Part, lambda block: read_headers(EMPTY, block):
        try:
            read(block)
            results.append(200)
        except HTTPException as exc:
            results.append(exc.status_code)
    assert results[0] == results[1], block
    return results[0] == 200


EMPTY = Part(field(b'a').split(b'\r\n\r\n')[0][9:])


def test_parse_options():
    for value, expected in (
            ('', ('', {})),
            ('Text/Plain', ('text/plain', {})),
            (' text/plain ;', ('text/plain', {})),
            ('a/b;c=d', ('a/b', {'c': 'd'})),
            ('a/b ; C=d', ('a/b', {'c': 'd'})),
            ('a/b;c="d;e=f"; g=h', ('a/b', {'c': 'd;e=f', 'g': 'h'})),
            ('a/b; c="d\\"e\\\\"; f=""', ('a/b', {'c': 'd"e\\', 'f': ''})),
            ('a/b; c="d, e"', ('a/b', {'c': 'd, e'}))):
        assert parse_options(value) == expected, value


def test_boundaries():
    for value, expected in (
            ('boundary=x', b'x'),
            (' ;  BOUNDARY=x ', b'x'),
            ('charset=utf-8; boundary=x', b'x'),
            ('boundary=x; charset=utf-8', b'x'),
            ('boundary=x;charset="boundary=y"', b'x'),
            ('boundary="x"', b'x'),
            ('boundary="x y"', b'x y'),
            ('boundary="x;y"', b'x;y'),
            ("boundary=x'()+_,-./:=?", b"x'()+_,-./:=?"),
            ('boundary="x=y"; charset=utf-8', b'x=y'),
            ('boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW', b'----WebKitFormBoundary7MA4YWxkTrZu0gW'),
            ('boundary=' + 'x' * 70, b'x' * 70)):  # the longest (RFC 2046 section 5.1.1)
        assert boundary_of('multipart/form-data;' + value) == expected, value
        assert boundary_of('Multipart/Form-Data ; ' + value) == expected, value


def test_boundaries_that_are_none():
    for value in ('', ';', '; charset=utf-8', '; boundary', '; boundary=', '; boundary=""', '; x="boundary=y"',
                  ' boundary=x'):
        with raises(HTTPException) as error:
            boundary_of('multipart/form-data' + value)
        assert error.value.status_code == 400, value


def test_boundaries_are_no_patterns():
    for boundary in b'a.c', b'a+', b'(a)', b'a?', b"'", b'a b', b'-', b'--', b'-----------', b'a-', b'aa':
        body = (field(b'a', boundary) + upload(b'f', b'x', b'--' + boundary + b'\r\n\n--' + boundary) + END)
        body = body.replace(b'--bound', b'--' + boundary)
        expected = [('a', None, None, boundary), ('f', 'x', 'text/plain', b'--' + boundary + b'\r\n\n--' + boundary)]
        if b'\r\n\r\n--' + boundary in body:  # the content must not begin with it
            body = body.replace(b'\r\n\r\n--' + boundary, b'\r\n\r\n')
            expected[1] = ('f', 'x', 'text/plain', b'\r\n\n--' + boundary)
        for chunks in [body], in_pieces(body, 1), in_pieces(body, 5):
            assert collect(MultipartParser(boundary), chunks) == expected, boundary


# ---------------------------------------------------------------------------------------------------------------
# Limits of the parser
# ---------------------------------------------------------------------------------------------------------------

def test_max_parts():
    body = field(b'a', b'1') * 3 + END
    assert len(parse([body], max_parts=3)) == 3
    for size in 1, 7, 1000:
        assert refusal(in_pieces(body, size), max_parts=2) == 413


def block_of(size):
    """Return a part whose header block, with the empty line, has this many bytes."""
    disposition = b'Content-Disposition: form-data; name=a\r\n'
    return b'--bound\r\n' + disposition + b'X: ' + b'x' * (size - len(disposition) - 7) + b'\r\n\r\n'


def test_max_header_size():
    """The limit is that of the lines without the empty one, however the block arrives."""
    for limit in 100, 1000:
        for size in 1, 2, 3, 7, 5000:
            assert len(parse(in_pieces(block_of(limit + 4) + b'1\r\n' + END, size), max_header_size=limit)) == 1
            assert refusal(in_pieces(block_of(limit + 5) + b'1\r\n' + END, size), max_header_size=limit) == 413


def test_max_header_size_is_for_each_part():
    body = (block_of(100) + b'1\r\n') * 5 + END
    assert len(parse([body], max_header_size=100)) == 5
    body = block_of(104) + b'1\r\n' + block_of(105) + b'1\r\n' + END
    assert refusal([body], max_header_size=100) == 413


def test_headers_without_end():
    for line in b'x', b'X: y\r\n', b'\r', b'X: \r\n ':
        parser = MultipartParser(b'bound', max_header_size=1000)
        parser.feed(b'--bound\r\n')
        with raises(HTTPException) as error:
            for _ in range(1100):
                parser.feed(line)
        assert error.value.status_code in (400, 413), line


def test_a_late_beginning():
    preamble = b'x' * 990 + b'\r\n'
    assert len(parse([preamble + field(b'a') + END], max_header_size=1000)) == 1
    for size in 1, 100, 5000:
        assert refusal(in_pieces(preamble + preamble + field(b'a') + END, size), max_header_size=1000) in (400, 413)


def test_padding_without_end():
    for start in b'--bound', field(b'a', b'1') + b'--bound':
        parser = MultipartParser(b'bound', max_header_size=1000)
        parser.feed(start)
        with raises(HTTPException) as error:
            for _ in range(1100):
                parser.feed(b' \t')
        assert error.value.status_code in (400, 413)


def test_no_limit_for_the_epilogue():
    parser = MultipartParser(b'bound', max_header_size=100)
    parser.feed(FORM)
    for _ in range(100):
        assert parser.feed(b'--bound\r\nx' * 100) == []


# ---------------------------------------------------------------------------------------------------------------
# FormDataIter and FileUpload
# ---------------------------------------------------------------------------------------------------------------

class directory:
    """``with directory() as path:`` a directory for temporary files, which must be empty again at the end."""

    def __enter__(self):
        with temporary_file('uploads') as path:
            self.path = path
        os.mkdir(self.path)
        self.change = changed(FileUpload, temporary_directory=self.path, max_memory_size=1024)
        self.change.__enter__()
        return self.path

    def __exit__(self, exc_type, exc, traceback):
        self.change.__exit__(None, None, None)
        left = os.listdir(self.path)
        for name in left:
            os.remove(self.path + '/' + name)
        os.rmdir(self.path)
        assert exc_type or not left, left


def app_that_iterates(visit=None):
    """Return an application that answers with the parts of a form; ``visit(value)`` is called for each upload."""
    app = Microdot()
    app.seen = []

    @app.route('/', methods=['GET', 'POST'])
    async def index(request):
        async for name, value in FormDataIter(request):
            if not isinstance(value, str):
                content = await (visit or FileUpload.read)(value)
                value = [value.filename, value.raw_filename, value.content_type, (content or b'').decode()]
            app.seen.append([name, value])
        return app.seen

    return app


async def iterate(body, visit=None, status=200):
    """Post a body, return the names and values that a handler gets."""
    app = app_that_iterates(visit)
    with changed(Request, max_content_length=1 << 20):
        response = await TestClient(app).post('/', HEADERS, body)
    assert response.status_code == status, response.text
    return app.seen


async def test_iteration():
    assert await iterate(FORM) == [['a', '1'], ['f', ['a.txt', 'a.txt', 'text/plain', 'hello']], ['b', '2']]
    assert await iterate(END) == []
    assert await iterate(part(b'; name=f; filename=""') + END) == [['f', ['', '', None, '']]]
    assert await iterate(upload(b'f', b'../b') + END) == [['f', ['b', '../b', 'text/plain', '']]]


async def test_iteration_with_buffers_of_every_size():
    expected = await iterate(FORM)
    for size in list(range(1, 30)) + [100, len(FORM) - 1, len(FORM)]:
        with changed(FormDataIter, buffer_size=size):
            assert await iterate(FORM) == expected, size


async def test_iteration_of_pieces():
    """Split at every byte, as the body arrives."""
    head = posting(FORM, b'Connection: close')[:-len(FORM)]
    for limit in 16384, 10:  # in memory and in the stream
        with changed(Request, max_body_length=limit):
            for i in range(1, len(FORM), 5 if ON_MICROPYTHON else 1):
                app = app_that_iterates()
                data = await TestClient(app).exchange([head, FORM[:i], FORM[i:]])
                assert data.startswith(b'HTTP/1.1 200 '), (i, data)
                assert len(app.seen) == 3


async def test_chunked_body():
    app = app_that_iterates()
    chunks = b''.join([b'%x\r\n' % len(chunk) + chunk + b'\r\n' for chunk in in_pieces(FORM, 11)]) + b'0\r\n\r\n'
    head = posting(b'', b'Connection: close', b'Transfer-Encoding: chunked').replace(b'Content-Length: 0\r\n', b'')
    data = await TestClient(app).exchange([head + chunks])
    assert data.startswith(b'HTTP/1.1 200 '), data
    assert [name for name, _ in app.seen] == ['a', 'f', 'b']


async def test_text_of_fields():
    for content, kind, expected in (
            ('\xfc\u4e16\U0001f331'.encode(), None, '\xfc\u4e16\U0001f331'),
            (b'\xe9\xff', None, '\xe9\xff'),
            (b'caf\xe9', b'text/plain; charset=iso-8859-1', 'caf\xe9'),
            (b'a\0b\r\n', None, 'a\0b\r\n'),
            (b'\xc3\xbc', b'text/plain;charset=UTF-8', '\xfc')):
        fields = [b'Content-Type: ' + kind] if kind else []
        assert await iterate(part(b'; name=a', content, *fields) + END) == [['a', expected]], content


async def test_other_requests_have_no_parts():
    app = app_that_iterates()
    client = TestClient(app)
    for headers, body in (({'Content-Type': 'application/x-www-form-urlencoded'}, 'a=1'), ({}, FORM), ({}, None),
                          ({'Content-Type': 'multipart/mixed; boundary=bound'}, FORM),
                          ({'Content-Type': 'multipart/form-data-x; boundary=bound'}, FORM),
                          ({'Content-Type': ''}, FORM)):
        response = await client.post('/', headers, body)
        assert (response.status_code, response.json) == (200, []), headers
    for headers in {}, HEADERS:
        assert (await client.get('/', headers)).json == []


async def test_uploads_that_nobody_reads_are_skipped():
    body = b''.join([upload(b'f', b'%d' % i, b'x' * 3000) + field(b'%d' % i, b'y') for i in range(4)]) + END

    async def ignore(file):
        pass

    async def read_some(file):
        return await file.read(int(file.filename) * 1001)

    for visit in ignore, read_some:
        seen = await iterate(body, visit)
        assert [name for name, _ in seen] == ['f', '0', 'f', '1', 'f', '2', 'f', '3']


async def read_in_steps(file, n):
    parts = []
    while True:
        data = await file.read(n)
        if not data:
            break
        assert len(data) <= n
        parts.append(data)
    assert await file.read(n) == await file.read() == await file.read(0) == b''
    return b''.join(parts)


async def test_reading_in_steps():
    content = bytes([97 + i % 26 for i in range(600)])
    for n in list(range(1, 20)) + [255, 256, 257, 599, 600, 601, 10000]:
        body = upload(b'f', b'a', content) + field(b'a', b'1') + END
        seen = await iterate(body, lambda file, n=n: read_in_steps(file, n))
        assert seen[0][1][3].encode() == content, n
        assert seen[1] == ['a', '1']


async def test_reading_zero_bytes_and_then_all():
    async def read(file):
        assert await file.read(0) == b''
        assert await file.read(2) in (b'h', b'he')
        await file.read(-1)
        assert await file.read() == b''

    await iterate(FORM, read)


async def test_uploads_end_with_the_next_step():
    files = []

    async def keep(file):
        files.append(file)

    app = app_that_iterates(keep)

    @app.after_request
    async def check(request, response):
        assert len(files) == 2
        for file in files:
            for n in -1, 0, 1:
                with raises(ValueError):
                    await file.read(n)
            with raises(ValueError):
                await file.copy()
            with temporary_file('a', b'before') as path:
                with raises(ValueError):
                    await file.save(path)
                with open(path, 'rb') as f:
                    assert f.read() == b'before'
            await file.close()

    response = await TestClient(app).post('/', HEADERS, upload(b'f', b'a', b'1') + upload(b'f', b'b', b'2') + END)
    assert response.status_code == 200


async def test_saving_to_a_path():
    content = b'0123456789' * 500
    with temporary_file('saved', b'before') as path:
        async def save(file):
            await file.save(path)
            with open(path, 'rb') as f:
                assert f.read() == content
            assert await file.read() == b''

        assert len(await iterate(upload(b'f', b'a', content) + field(b'a') + END, save)) == 2


async def test_saving_an_empty_file():
    with temporary_file('saved', b'before') as path:
        async def save(file):
            await file.save(path)
            assert os.stat(path)[6] == 0

        await iterate(upload(b'f', b'a') + END, save)


async def test_saving_the_rest():
    with temporary_file('saved') as path:
        async def save(file):
            begin = await file.read(2)
            await file.save(path)
            with open(path, 'rb') as f:
                assert begin + f.read() == b'hello'

        await iterate(FORM, save)


class Target:
    """A file object whose ``write`` is a coroutine function, as those of streams and of asynchronous files."""

    def __init__(self):
        self.data = b''

    async def write(self, data):
        await asyncio.sleep(0)
        self.data += bytes(data)


class PlainTarget(Target):
    def write(self, data):
        self.data += bytes(data)


async def test_saving_to_an_object():
    content = b'0123456789' * 500
    for target in PlainTarget(), Target():
        await iterate(upload(b'f', b'a', content) + field(b'a') + END, lambda file, target=target: file.save(target))
        assert target.data == content


async def test_a_save_that_is_cut_off_leaves_no_file():
    body = upload(b'f', b'a', b'x' * 5000)
    with directory() as path:
        async def save(file):
            await file.save(path + '/a')

        assert await iterate(body[:-3000], save, 400) == []
        assert os.listdir(path) == []
        assert await iterate(body[:-2] + b'\r\n--bound?', save, 400) == []
        assert os.listdir(path) == []
        assert len(await iterate(body + END, save)) == 1
        assert os.listdir(path) == ['a']
        os.remove(path + '/a')


async def test_a_directory_that_does_not_exist():
    async def save(file):
        await file.save('/nowhere/at/all')

    with logged_errors() as errors:
        await iterate(FORM, save, 500)
    assert isinstance(errors[0], OSError)


async def check_copy(file, content):
    """Read a copied upload in several ways."""
    assert await file.read(3) == content[:3]
    assert await file.read(0) == b''
    rest = b''
    while True:
        data = await file.read(700)
        if not data:
            break
        rest += data
    assert rest == content[3:]
    assert await file.read() == b''


async def test_copies_live_on():
    files = []
    sizes = (0, 1, 1023, 1024, 1025, 5000)
    body = b''.join([upload(b'f', b'%d' % size, b'x' * size) + field(b'a') for size in sizes]) + END

    async def copy(file):
        assert await file.copy() is file
        files.append(file)

    app = app_that_iterates(copy)

    @app.after_request
    async def check(request, response):
        for file, size in zip(files, sizes):
            await check_copy(file, b'x' * size)
            await file.close()
            await file.close()

    with directory(), changed(Request, max_content_length=1 << 20):
        assert (await TestClient(app).post('/', HEADERS, body)).status_code == 200
    assert len(files) == 6


async def copy_and_read(file, limit):
    await file.copy(limit)
    content = await file.read()
    await file.close()
    return content


async def test_copies_are_in_memory_up_to_a_size():
    """Without a directory for temporary files, what is larger cannot be copied."""
    with changed(FileUpload, temporary_directory='/nowhere/at/all'):
        for size, limit, default, fits in ((1024, None, 1024, True), (1025, None, 1024, False), (10, None, 9, False),
                                           (2000, 2000, 1024, True), (2001, 2000, 1024, False), (1, 0, 1024, False),
                                           (0, 0, 1024, True)):
            with changed(FileUpload, max_memory_size=default), logged_errors() as errors:
                body = upload(b'f', b'a', b'x' * size) + END
                seen = await iterate(body, lambda file, limit=limit: copy_and_read(file, limit), 200 if fits else 500)
                assert seen == ([['f', ['a', 'a', 'text/plain', 'x' * size]]] if fits else [])
            assert fits or isinstance(errors[0], OSError), (size, limit)


async def test_a_copy_can_be_saved():
    with directory() as path, temporary_file('saved') as target:
        async def copy(file):
            await file.copy()
            await file.save(target)
            assert str(os.stat(target)[6]) == file.filename
            await file.close()
            assert os.listdir(path) == []

        assert len(await iterate(upload(b'f', b'10', b'x' * 10) + upload(b'f', b'3000', b'x' * 3000) + END, copy)) == 2


async def test_a_copy_that_is_cut_off_leaves_no_file():
    body = upload(b'f', b'a', b'x' * 5000)
    with directory() as path:
        async def copy(file):
            await file.copy()

        assert await iterate(body[:-2000], copy, 400) == []
        assert os.listdir(path) == []


# ---------------------------------------------------------------------------------------------------------------
# Limits
# ---------------------------------------------------------------------------------------------------------------

async def status_of(body, visit=None):
    app = app_that_iterates(visit)
    with changed(Request, max_content_length=1 << 20):
        response = await TestClient(app).post('/', HEADERS, body)
    return response.status_code


def test_default_limits():
    assert FormDataIter.buffer_size == (256 if ON_MICROPYTHON else 262144)
    assert FormDataIter.max_parts == (32 if ON_MICROPYTHON else 1000)
    assert FormDataIter.max_files == (8 if ON_MICROPYTHON else 100)
    assert FormDataIter.max_header_size == (1024 if ON_MICROPYTHON else 4096)
    assert FormDataIter.max_form_size == (16 * 1024 if ON_MICROPYTHON else 512 * 1024)
    assert FormDataIter.max_field_size == -1
    assert FileUpload.temporary_directory is None
    assert FileUpload.max_memory_size == 1024


async def test_limits_of_parts_and_files():
    n = FormDataIter.max_parts
    assert await status_of(field(b'a') * n + END) == 200
    assert await status_of(field(b'a') * (n + 1) + END) == 413
    n = FormDataIter.max_files
    assert await status_of((upload(b'f', b'a') + field(b'a')) * n + END) == 200
    assert await status_of((upload(b'f', b'a') + field(b'a')) * n + upload(b'f', b'a') + END) == 413
    with changed(FormDataIter, max_parts=2):
        assert await status_of(field(b'a') + upload(b'f', b'a') + END) == 200
        assert await status_of(field(b'a') + upload(b'f', b'a') + field(b'a') + END) == 413
    with changed(FormDataIter, max_files=0):
        assert await status_of(field(b'a') * 2 + END) == 200
        assert await status_of(field(b'a') + upload(b'f', b'') + END) == 413


async def test_limit_of_headers():
    n = FormDataIter.max_header_size
    assert await status_of(block_of(n + 4) + b'1\r\n' + END) == 200
    assert await status_of(block_of(n + 5) + b'1\r\n' + END) == 413


async def test_limits_of_fields():
    """Names count for the limit of all, because they are kept in memory, too."""
    with changed(FormDataIter, max_form_size=100):
        for size, status in (99, 200), (100, 413), (5000, 413):
            assert await status_of(field(b'a', b'x' * size) + END) == status
        assert await status_of(field(b'a', b'x' * 49) * 2 + END) == 200
        assert await status_of(field(b'a', b'x' * 49) * 2 + field(b'a') + END) == 413
        assert await status_of(field(b'a' * 101) + END) == 413
        assert await status_of(upload(b'f', b'a', b'x' * 5000) + field(b'a', b'x' * 99) + END) == 200
    with changed(FormDataIter, max_field_size=100):
        for size, status in (100, 200), (101, 413), (5000, 413):
            assert await status_of(field(b'a', b'x' * 100) + field(b'a', b'x' * size) + END) == status
        assert await status_of(upload(b'f', b'a', b'x' * 5000) + END) == 200
    with changed(FormDataIter, max_field_size=0):
        assert await status_of(field(b'a') + END) == 200
        assert await status_of(field(b'a', b'x') + END) == 413


async def test_default_limit_of_fields():
    size = FormDataIter.max_form_size - 1
    assert await status_of(field(b'a', b'x' * size) + END) == 200
    assert await status_of(field(b'a', b'x' * (size + 1)) + END) == 413


async def test_limit_of_the_body():
    for body in FORM, FORM + b'epilogue':
        with changed(Request, max_content_length=len(body) - 1):
            for form in FORM, b'':
                response = await TestClient(app_that_iterates()).post('/', HEADERS, form or body)
                assert response.status_code == (413 if len(form or body) == len(body) else 200)


async def test_refusals_say_what_is_wrong():
    app = app_that_iterates()
    reasons = set()
    for body in field(b'a'), part(b'', b'1') + END, field(b'a') * (FormDataIter.max_parts + 1) + END:
        with changed(Request, max_content_length=1 << 20):
            response = await TestClient(app).post('/', HEADERS, body)
        assert response.status_code in (400, 413)
        reasons.add(response.text)
    assert len(reasons) == 3
    response = await TestClient(app).post('/', {'Content-Type': 'multipart/form-data'}, FORM)
    assert response.status_code == 400 and 'boundary' in response.text.lower()


# ---------------------------------------------------------------------------------------------------------------
# The decorator
# ---------------------------------------------------------------------------------------------------------------

def form_app(answer=None):
    """Return an application with forms, and what its handlers have seen in ``seen``."""
    app = Microdot()
    app.seen = []

    @app.route('/', methods=['GET', 'POST', 'PUT'])
    @with_form_data
    async def index(request):
        app.seen.append(request)
        return await answer(request) if answer else describe(request)

    @app.post('/plain/<int:number>/<name>')
    @with_form_data
    def plain(request, number, name):
        app.seen.append((number, name))
        return describe(request)

    @app.post('/async/<name>')
    @with_form_data
    async def with_name(request, name):
        app.seen.append(name)
        return describe(request)

    return app


def describe(request):
    form = request.form
    files = request.files
    return {'form': form and {name: form.getlist(name) for name in form},
            'files': files and {name: [file.filename for file in files.getlist(name)] for name in files},
            'kinds': [None if value is None else type(value).__name__ for value in (form, files)]}


async def post(app, body=FORM, path='/', headers=HEADERS):
    with changed(Request, max_content_length=1 << 20):
        return await TestClient(app).post(path, headers, body)


async def test_decorator():
    app = form_app()
    expected = {'form': {'a': ['1'], 'b': ['2']}, 'files': {'f': ['a.txt']}, 'kinds': ['MultiDict', 'MultiDict']}
    assert (await post(app)).json == expected
    assert (await post(app, path='/plain/7/x')).json == expected
    assert (await post(app, path='/async/y')).json == expected
    assert app.seen[1:] == [(7, 'x'), 'y']
    with changed(Request, max_body_length=10):
        assert (await post(app)).json == expected


async def test_decorator_keeps_the_name():
    @with_form_data
    async def index(request):
        pass

    assert ON_MICROPYTHON or index.__name__ == 'index'


async def test_several_files_of_one_name():
    async def answer(request):
        files = request.files.getlist('f')
        assert request.files['f'] is files[0] is request.files.get('f')
        assert request.form.getlist('a') == ['1', '', '1']
        text = b''
        for file in files:
            text += file.filename.encode() + b':' + await file.read() + b','
        return text

    body = (upload(b'f', b'1', b'one') + field(b'a', b'1') + upload(b'g', b'x', b'y' * 2000)
            + upload(b'f', b'2', b'two' * 700) + field(b'a') + upload(b'f', b'', b'') + field(b'a', b'1') + END)
    with directory():
        assert (await post(form_app(answer), body)).text == '1:one,2:' + 'two' * 700 + ',:,'


async def test_an_empty_form():
    response = await post(form_app(), END)
    assert not response.json['form'] and not response.json['files']
    assert response.json['kinds'] == ['MultiDict', 'MultiDict']


async def test_other_content_types_pass_through():
    app = form_app()
    response = await post(app, b'a=1&a=2', headers={'Content-Type': 'application/x-www-form-urlencoded'})
    assert response.json == {'form': {'a': ['1', '2']}, 'files': None, 'kinds': ['MultiDict', None]}
    for headers in {}, {'Content-Type': 'text/plain'}, {'Content-Type': 'multipart/mixed; boundary=bound'}:
        response = await post(app, FORM, headers=headers)
        assert response.json == {'form': None, 'files': None, 'kinds': [None, None]}
        assert app.seen[-1].body == FORM
    for headers in {}, HEADERS:
        assert (await TestClient(app).get('/', headers)).json['kinds'] == [None, None]


async def test_malformed_forms_do_not_reach_the_handler():
    app = form_app()
    with directory():
        for name, body in MALFORMED:
            response = await post(app, upload(b'f', b'a', b'x' * 3000) + body if body[:7] == b'--bound' else body)
            assert response.status_code == 400, name
        assert (await post(app, field(b'a') * (FormDataIter.max_parts + 1) + END)).status_code == 413
        for kind in 'multipart/form-data', 'multipart/form-data; boundary=""', 'multipart/form-data; boundary=other':
            assert (await post(app, headers={'Content-Type': kind})).status_code == 400
    assert app.seen == []


async def test_the_connection_goes_on():
    """After a form, malformed or not, the next request of the connection is served."""
    get = b'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
    with directory():
        for body in FORM, FORM + b'epilogue' * 10, MALFORMED[-1][1]:
            data = await TestClient(form_app()).exchange([posting(body) + get])
            assert data.count(b'HTTP/1.1 ') == 2, data


async def test_files_are_closed():
    """After success, an exception of any kind, abort(), and an error in a hook."""
    files = []

    async def succeed(request):
        files.extend(request.files.getlist('f'))
        return await request.files['f'].read(5)

    async def fail(request):
        await succeed(request)
        raise RuntimeError('on purpose')

    async def refuse(request):
        await succeed(request)
        abort(409)

    async def respond_with_error(request):
        await succeed(request)
        return 'no', 500

    body = upload(b'f', b'a', b'hello' * 1000) + upload(b'f', b'b', b'hello') + END
    with directory(), logged_errors():
        for answer, status in (succeed, 200), (fail, 500), (refuse, 409), (respond_with_error, 500):
            assert (await post(form_app(answer), body)).status_code == status
            assert len(files) == 2
            await check_closed(files)
            files.clear()


async def check_closed(files):
    for file in files:
        with raises(ValueError):
            await file.read()


async def test_files_are_closed_after_an_error_in_a_hook():
    files = []

    async def answer(request):
        files.append(request.files['f'])
        return 'done'

    app = form_app(answer)

    @app.after_request
    async def fail(request, response):
        raise RuntimeError('on purpose')

    with directory(), logged_errors():
        assert (await post(app, upload(b'f', b'a', b'x' * 3000) + END)).status_code == 500
        await check_closed(files)


class Reading:
    """A body that reads a file while it is sent. Iterators work on both interpreters, generators do not."""

    def __init__(self, file, fails_after=1 << 30):
        self.file = file
        self.fails_after = fails_after

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.fails_after <= 0:
            raise RuntimeError('on purpose')
        data = await self.file.read(1000)
        self.fails_after -= len(data)
        if not data:
            raise StopAsyncIteration
        return data


async def test_a_response_may_read_the_upload():
    files = []

    async def answer(request):
        files.append(request.files['f'])
        return Response(Reading(request.files['f']))

    with directory():
        for size in 100, 1024, 1025, 5000:
            content = b'0123456789' * (size // 10) + b'x' * (size % 10)
            response = await post(form_app(answer), upload(b'f', b'a', content) + END)
            assert (response.status_code, response.body) == (200, content)
            await check_closed(files)


async def test_files_are_closed_when_the_response_is_not_sent():
    """A hook raises, or puts another response in the place of one that would read the upload."""
    files = []

    async def answer(request):
        files.append(request.files['f'])
        return Reading(request.files['f']), 201, {'X-Test': 'a'}

    async def fail(request, response):
        raise RuntimeError('on purpose')

    async def replace(request, response):
        return Response('another')

    for hook, status in (None, 201), (replace, 200), (fail, 500):
        app = form_app(answer)
        if hook:
            app.after_request(hook)
        with directory(), logged_errors():
            response = await post(app, upload(b'f', b'a', b'x' * 3000) + END)
            assert response.status_code == status
            assert hook or (response.headers['X-Test'] == 'a' and response.body == b'x' * 3000)
            await check_closed(files)


async def test_a_response_may_be_a_file():
    with temporary_file('a.css', b'body' * 1000) as path:
        async def answer(request):
            return send_file(path if request.form.get('a') else '/nowhere/at/all')

        app = form_app(answer)
        with directory():
            response = await post(app, upload(b'f', b'a', b'x' * 3000) + field(b'a', b'1') + END)
            assert (response.status_code, response.body) == (200, b'body' * 1000)
            assert response.headers['Content-Length'] == '4000'
            assert (await post(app, upload(b'f', b'a', b'x' * 3000) + END)).status_code == 404


async def test_files_are_closed_after_a_response_that_fails():
    files = []

    async def answer(request):
        files.append(request.files['f'])
        return Response(Reading(request.files['f'], 2000))

    with directory(), logged_errors():
        with raises(EOFError):
            await post(form_app(answer), upload(b'f', b'a', b'x' * 5000) + END)
        await check_closed(files)


async def test_clients_that_vanish_while_they_send():
    app = form_app()
    body = upload(b'f', b'a', b'x' * 6000) + END
    with directory() as path, changed(Request, max_body_length=10):
        async with serving(app) as server:
            for size in 10, 100, 1500, 3000, len(body) - 3:
                client = await Client.connect(server, posting(body)[:-len(body)] + body[:size])
                if size > 1500 and not ON_MICROPYTHON:
                    await asyncio.sleep(0.01)
                await client.close()
            await until(lambda: not server.connections)
            assert os.listdir(path) == []
    assert app.seen == []


async def test_clients_that_vanish_while_they_read():
    files = []

    async def answer(request):
        files.append(request.files['f'])
        return Response(Endless(request.files['f']))

    app = form_app(answer)
    body = upload(b'f', b'a', b'x' * 3000) + END
    with directory() as path:
        async with serving(app) as server:
            client = await Client.connect(server, posting(body))
            assert await client.read(10)
            await client.close()
            await until(lambda: not server.connections)
            assert os.listdir(path) == []
        await check_closed(files)


class Endless(Reading):
    async def __anext__(self):
        await self.file.read(10)
        await asyncio.sleep(0)
        return b'x' * 1000


async def test_handlers_may_close_and_read_again():
    async def answer(request):
        file = request.files['f']
        await file.read(2)
        await file.close()
        return 'closed'

    with directory():
        assert (await post(form_app(answer), upload(b'f', b'a', b'x' * 3000) + END)).text == 'closed'


async def test_files_of_a_form_can_be_saved():
    with temporary_file('saved') as path, directory():
        async def answer(request):
            await request.files['f'].save(path)
            return 'saved'

        content = b'0123456789' * 300
        assert (await post(form_app(answer), upload(b'f', b'a', content) + END)).text == 'saved'
        with open(path, 'rb') as f:
            assert f.read() == content


async def test_iterator_of_a_request_without_application():
    request = await create_request(['POST / HTTP/1.1', 'Content-Type: ' + CONTENT_TYPE,
                                    'Content-Length: %d' % len(FORM)], FORM)
    found = []
    async for item in FormDataIter(request):
        found.append(item[0])
    assert found == ['a', 'f', 'b']
