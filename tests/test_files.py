"""Files: conditional requests and ranges (RFC 9110 sections 13 and 14), and directories of them."""
import os
import time

from helpers import ON_MICROPYTHON, changed, logged_errors, temporary_file
from live import Client, serving
from microdot import Microdot, Request, Response, file_body, send_file
from microdot.files import Static
from microdot.helpers import add_vary
from microdot.test_client import TestClient, TestResponse

DIGITS = b'0123456789'
EARLIER = 'Sun, 06 Nov 1994 08:49:36 GMT'
DATE = 'Sun, 06 Nov 1994 08:49:37 GMT'
LATER = 'Sun, 06 Nov 1994 08:49:38 GMT'
#: What a hook puts in place of the file's own validators, so that the cases can name them.
VALIDATORS = {'ETag': '"v1"', 'Last-Modified': DATE}


class folder:
    """``with folder({'a/b.txt': b'...'}) as path:`` a directory with these files, and those that come later."""

    def __init__(self, contents):
        self.path = '%s/microdot-%d-%d' % (os.getenv('TMPDIR') or '/tmp', time.time_ns(), id(self))
        self.contents = contents

    def __enter__(self):
        os.mkdir(self.path)
        for name in sorted(self.contents):
            parts = name.split('/')
            for i in range(1, len(parts)):
                make_directory(self.path + '/' + '/'.join(parts[:i]))
            if parts[-1]:
                with open(self.path + '/' + name, 'wb') as f:
                    f.write(self.contents[name])
        return self.path

    def __exit__(self, exc_type, exc, traceback):
        remove_tree(self.path)


def make_directory(path):
    try:
        os.mkdir(path)
    except OSError:  # it is there
        pass


def remove_tree(path):
    for name in os.listdir(path):
        name = path + '/' + name
        if os.stat(name)[0] & 0xF000 == 0x4000:
            remove_tree(name)
        else:
            os.remove(name)
    os.rmdir(path)


class opened_files:
    """``with opened_files() as names:`` the names of the files that the module opens are in this list."""

    def __enter__(self):
        names = []

        def spy(name, *args, **kwargs):
            names.append(name)
            return open(name, *args, **kwargs)

        self.module = file_body.disk or file_body
        self.module.open = spy
        return names

    def __exit__(self, exc_type, exc, traceback):
        del self.module.open


def app_that_sends(path, hook=None, **options):
    """Return an application that answers GET and POST with a file; a hook may change the response."""
    app = Microdot()

    @app.route('/', methods=['GET', 'POST'])
    async def index(request):
        return send_file(path, **options)

    if hook:
        app.after_request(hook)
    return app


async def set_validators(request, response):
    response.headers.update(VALIDATORS)


def app_of_digits(path, **options):
    """Return an application that answers with ``DIGITS`` and ``VALIDATORS``."""
    return app_that_sends(path, set_validators, **options)


async def ask(app, headers=None, method='GET', path='/'):
    return await TestClient(app).request(method, path, headers)


async def check_rows(app, rows, body=DIGITS):
    """Send GET with the headers of each row; the status must be the row's, and the response right for it.

    A row is (section of RFC 9110, headers, status code), and for a 206 also the first byte and the one after the last.

    """
    for row in rows:
        section, headers, status_code = row[:3]
        response = await ask(app, headers)
        assert response.status_code == status_code, (section, headers, response.status_code)
        try:
            check_response(response, body, *row[3:])
        except AssertionError:
            raise AssertionError((section, headers, response.headers, response.body))


def check_response(response, body=DIGITS, start=0, end=None):
    """Check what follows from the status code."""
    headers = response.headers
    status_code = response.status_code
    if status_code == 206:  # section 15.3.7
        assert headers['Content-Range'] == 'bytes %d-%d/%d' % (start, end - 1, len(body))
    else:
        assert headers.get('Content-Range') == ('bytes */%d' % len(body) if status_code == 416 else None)
    if status_code in (200, 206):
        assert response.body == body[start:end]
        assert headers['Content-Length'] == str(len(response.body))
        assert headers['Accept-Ranges'] == 'bytes'
    if status_code in (200, 206, 304):
        assert (headers['ETag'], headers['Last-Modified']) == (VALIDATORS['ETag'], DATE)
    if status_code == 304:  # section 15.4.5
        assert response.body == b''
        for name in 'Content-Type', 'Content-Length', 'Content-Encoding', 'Transfer-Encoding':
            assert name not in headers
    if status_code in (412, 416):
        assert DIGITS not in response.body and headers['Content-Length'] == str(len(response.body))


# ---------------------------------------------------------------------------------------------------------------
# Validators (section 8.8)
# ---------------------------------------------------------------------------------------------------------------

async def test_validators():
    with temporary_file('a.txt', DIGITS) as path:
        response = await ask(app_that_sends(path))
        assert response.headers['Accept-Ranges'] == 'bytes'
        tag = response.headers['ETag']
        assert tag[0] == tag[-1] == '"' and len(tag) > 2  # 8.8.3: strong
        assert response.headers['Last-Modified'] == file_body.http_date(time.gmtime(os.stat(path)[8]))
        head = await ask(app_that_sends(path), method='HEAD')
        assert head.status_code == 200
        for name in 'ETag', 'Last-Modified', 'Accept-Ranges', 'Content-Length', 'Content-Type':
            assert head.headers[name] == response.headers[name]


async def test_own_validators_are_understood():
    with temporary_file('a.txt', DIGITS) as path:
        app = app_that_sends(path)
        own = (await ask(app)).headers
        for headers, status_code in (
                ({'If-None-Match': own['ETag']}, 304),
                ({'If-Modified-Since': own['Last-Modified']}, 304),
                ({'If-Modified-Since': DATE}, 200),
                ({'If-Match': own['ETag'], 'Range': 'bytes=1-2'}, 206),
                ({'If-Unmodified-Since': own['Last-Modified']}, 200),
                ({'If-Unmodified-Since': DATE}, 412),
                ({'If-Range': own['ETag'], 'Range': 'bytes=1-2'}, 206),
                ({'If-Range': DATE, 'Range': 'bytes=1-2'}, 200)):
            assert (await ask(app, headers)).status_code == status_code, headers


async def test_a_tag_changes_with_the_file():
    # 8.8.3: one for each representation
    tags = []
    with temporary_file('a.txt', DIGITS) as path:
        for options in {}, {'compressed': True}, {'compressed': 'br'}:
            tags.append((await ask(app_that_sends(path, **options))).headers['ETag'])
        with open(path, 'wb') as f:
            f.write(DIGITS * 2)
        tags.append((await ask(app_that_sends(path))).headers['ETag'])
    assert len(set(tags)) == 4


TAGS = (
    # the resource's, the header's, whether they match in weak comparison (If-None-Match), and in strong (If-Match)
    ('W/"1"', 'W/"1"', True, False),  # the table of 8.8.3.2
    ('W/"1"', 'W/"2"', False, False),
    ('W/"1"', '"1"', True, False),
    ('"1"', '"1"', True, True),
    ('"1"', 'W/"1"', True, False),
    ('"1"', '"2"', False, False),
    ('"v1"', '"V1"', False, False),  # 8.8.3: opaque
    ('"v1"', '"v11"', False, False),
    ('"v1"', '"v"', False, False),
    ('""', '""', True, True),
    ('""', '"v1"', False, False),
    ('"v1"', '""', False, False),
    ('"v1"', '"a", "v1"', True, True),  # 13.1.1, 13.1.2: lists
    ('"v1"', '"a","v1","b"', True, True),
    ('"v1"', 'W/"a", W/"v1"', True, False),
    ('"v1"', 'W/"v1", "v1"', True, True),
    ('"v1"', '"a" \t,\t "v1"', True, True),
    ('"v1"', ', "a",, ,"v1",', True, True),  # 5.6.1.2: empty elements
    ('"v1"', '"a", "b"', False, False),
    ('"a,b"', '"a,b"', True, True),  # 8.8.3: a comma in a tag
    ('"a,b"', '"x", "a,b", "y"', True, True),
    ('"a"', '"a,b"', False, False),
    ('"b"', '"a,b"', False, False),
    ('","', '"a","b"', False, False),
    ('", "', '"a", "b"', False, False),
    ('"a, b"', '"x", "a, b"', True, True),  # a blank is not allowed there, and does no harm
    ('"a\\"', '"a\\", "b"', True, True),  # 8.8.3: a backslash is a character as others
    ('"W/"', '"W/"', True, True),
    ('"W/"', '"a","W/"', True, True),
    ('"v1"', '*', True, True),
    ('W/"v1"', '*', True, True),  # 13.1.1: any representation
    ('"v1"', '"*"', False, False),
    ('"*"', '"*"', True, True),
    ('"v1"', 'v1', False, False),  # malformed: none that matches
    ('"v1"', '"v1', False, False),
    ('"v1"', "'v1'", False, False),
    ('"v1"', '', False, False),
    ('"v1"', 'W/', False, False),
    ('"v1"', ',', False, False),
    ('"v1"', 'W/v1', False, False),
)
#: W is a capital letter (8.8.3): whether this matches in weak comparison is open, in strong comparison it does not.
MALFORMED_TAGS = ('w/"v1"', 'w/"v1", "v2"', '"v2", w/"v1"')


async def test_entity_tags():
    with temporary_file('a.txt', DIGITS) as path:
        for tag, value, is_weak_match, is_match in TAGS:
            async def set_tag(request, response, tag=tag):
                response.headers['ETag'] = tag

            app = app_that_sends(path, set_tag)
            response = await ask(app, {'If-None-Match': value})
            assert response.status_code == (304 if is_weak_match else 200), (tag, value)
            response = await ask(app, {'If-Match': value})
            assert response.status_code == (200 if is_match else 412), (tag, value)
            # 13.1.5: a single tag that must be the very same, and strong
            response = await ask(app, {'If-Range': value, 'Range': 'bytes=1-2'})
            assert response.status_code == (206 if value == tag and tag[0] == '"' else 200), (tag, value)


async def test_malformed_tags():
    with temporary_file('a.txt', DIGITS) as path:
        for value in MALFORMED_TAGS:
            assert (await ask(app_of_digits(path), {'If-Match': value})).status_code == 412, value
            assert (await ask(app_of_digits(path), {'If-None-Match': value})).status_code in (200, 304), value


async def test_lists_in_several_lines():
    request = b'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n'
    with temporary_file('a.txt', DIGITS) as path:
        for lines, status_code in (
                (b'If-None-Match: "a"\r\nIf-None-Match: "v1"\r\n', 304),  # 5.3
                (b'If-None-Match: "a"\r\nIf-None-Match: "b"\r\n', 200),
                (b'If-Match: "a"\r\nIf-Match: "v1"\r\n', 200),
                (b'If-Modified-Since: %s\r\nIf-Modified-Since: %s\r\n', 200),  # 13.1.3: ignored
                (b'If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n' * 2, 200),  # 13.1.4: ignored
                (b'Range: bytes=0-1\r\nRange: bytes=4-5\r\n', 200)):
            lines = lines.replace(b'%s', DATE.encode())
            data = await TestClient(app_of_digits(path)).exchange([request + lines + b'\r\n'])
            assert TestResponse.parse(data).status_code == status_code, lines


# ---------------------------------------------------------------------------------------------------------------
# Conditions (section 13)
# ---------------------------------------------------------------------------------------------------------------

CONDITIONS = (
    ('13.1.1', {'If-Match': '"v1"'}, 200),
    ('13.1.1', {'If-Match': '*'}, 200),
    ('13.1.1', {'If-Match': '"v2"'}, 412),
    ('13.1.1', {'If-Match': 'W/"v1"'}, 412),
    ('13.1.2', {'If-None-Match': '"v1"'}, 304),
    ('13.1.2', {'If-None-Match': 'W/"v1"'}, 304),
    ('13.1.2', {'If-None-Match': '*'}, 304),
    ('13.1.2', {'If-None-Match': '"v2"'}, 200),
    ('13.1.3', {'If-Modified-Since': DATE}, 304),
    ('13.1.3', {'If-Modified-Since': LATER}, 304),
    ('13.1.3', {'If-Modified-Since': 'Fri, 01 Jan 2100 00:00:00 GMT'}, 304),
    ('13.1.3', {'If-Modified-Since': EARLIER}, 200),
    ('13.1.3', {'If-Modified-Since': 'Sat, 05 Nov 1994 23:59:59 GMT'}, 200),
    ('13.1.3', {'If-Modified-Since': 'Mon, 31 Oct 1994 23:59:59 GMT'}, 200),
    ('13.1.3', {'If-Modified-Since': 'Fri, 31 Dec 1993 23:59:59 GMT'}, 200),
    ('13.1.3', {'If-Modified-Since': DATE, 'If-None-Match': '"v2"'}, 200),
    ('13.1.3', {'If-Modified-Since': EARLIER, 'If-None-Match': '"v1"'}, 304),
    ('13.1.3', {'If-Modified-Since': DATE, 'If-None-Match': ''}, 200),
    ('13.1.4', {'If-Unmodified-Since': DATE, 'If-Match': ''}, 412),
    ('13.1.4', {'If-Unmodified-Since': DATE}, 200),
    ('13.1.4', {'If-Unmodified-Since': LATER}, 200),
    ('13.1.4', {'If-Unmodified-Since': EARLIER}, 412),
    ('13.1.4', {'If-Unmodified-Since': 'Mon, 31 Oct 1994 23:59:59 GMT'}, 412),
    ('13.1.4', {'If-Unmodified-Since': EARLIER, 'If-Match': '"v1"'}, 200),
    ('13.1.4', {'If-Unmodified-Since': DATE, 'If-Match': '"v2"'}, 412),
)

#: The three forms of a date (section 5.6.7), each with what it is beside DATE: as early, later, or earlier.
DATES = (
    ('Sunday, 06-Nov-94 08:49:37 GMT', '='),
    ('Sunday, 06-Nov-94 08:49:36 GMT', '<'),
    ('Sunday, 06-Nov-94 08:49:38 GMT', '>'),
    ('Saturday, 05-Nov-94 08:49:37 GMT', '<'),
    ('Monday, 07-Nov-94 08:49:37 GMT', '>'),
    ('Sun Nov  6 08:49:37 1994', '='),
    ('Sun Nov  6 08:49:36 1994', '<'),
    ('Sun Nov  6 08:49:38 1994', '>'),
    ('Wed Nov 16 08:49:37 1994', '>'),
    ('Sun Oct 30 08:49:37 1994', '<'),
    ('Mon, 07 Nov 1994 08:49:37 GMT', '>'),
    ('Tue, 06 Dec 1994 08:49:37 GMT', '>'),
    ('Mon, 06 Nov 1995 08:49:37 GMT', '>'),
    ('Thu, 01 Jan 1970 00:00:00 GMT', '<'),
    ('Sun, 06 Nov 1994 09:00:00 GMT', '>'),
    ('Sun, 06 Nov 1994 07:59:59 GMT', '<'),
    ('Sat, 31 Dec 2016 23:59:60 GMT', '>'),  # a leap second
    ('Mon, 01 Jan 1900 00:00:00 GMT', '<'),
    ('Fri, 31 Dec 9999 23:59:59 GMT', '>'),
)

NO_DATES = (
    '', '0', '-1', '784111777', 'yesterday', 'GMT', ',', 'Sun,', 'Sun, 06 Nov 1994', 'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 GMT', '1994-11-06T08:49:37Z', '06 Nov 1994', 'Sun, 32 Nov 1994 08:49:37 GMT',
    'Sun, 00 Nov 1994 08:49:37 GMT', 'Sun, 06 Foo 1994 08:49:37 GMT', 'Sun, 06 anF 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:49:37 GMT', 'Sun, 06 Nov 1994 08:60:37 GMT', 'Sun, 06 Nov 1994 08:49:61 GMT',
    'Sun, 06 Nov 1994 08:49:37 CET', 'Sun, 06 Nov 1994 08:49:37 +0100', 'Sun, 06 Nov 199 08:49:37 GMT',
    'Sun, 06 Nov 19944 08:49:37 GMT', 'Sun, 06 Nov -994 08:49:37 GMT', 'Sun, 06 Nov 1994 8:4:7 GMT',
    'Sun, ab Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 aa:49:37 GMT', 'Sun, +6 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 08.49.37 GMT', 'Sun, \xb2\xb3 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 08:49:37 GMTx',
    'xSun, 06 Nov 1994 08:49:37 GMT x', 'Sun Nov 6 1994', 'Sun Nov 32 08:49:37 1994', 'Sun Foo  6 08:49:37 1994',
    'Sun Nov  6 08:49:37', 'Sun Nov  6 24:49:37 1994', 'Sun Nov  6 08:49:37 94', 'Sunday, 06-Foo-94 08:49:37 GMT',
    'Sunday, 06-Nov-9 08:49:37 GMT', '"v1"', '*', DATE + ', ' + DATE, 'x' * 1000, '9' * 1000, ' :' * 500,
)


async def test_conditions():
    with temporary_file('a.txt', DIGITS) as path:
        await check_rows(app_of_digits(path), CONDITIONS)


async def test_dates():
    rows = []
    year = time.gmtime()[0]
    for date, order in DATES + (('Sunday, 06-Nov-%02d 08:49:37 GMT' % ((year + 49) % 100), '>'),
                                # 5.6.7: not more than 50 years in the future
                                ('Friday, 01-Jan-%02d 08:49:37 GMT' % ((year + 52) % 100), '<')):
        rows.append(('5.6.7', {'If-Modified-Since': date}, 200 if order == '<' else 304))
        rows.append(('5.6.7', {'If-Unmodified-Since': date}, 412 if order == '<' else 200))
        row = ('5.6.7', {'If-Range': date, 'Range': 'bytes=1-2'})
        rows.append(row + ((206, 1, 3) if order == '=' else (200,)))
    with temporary_file('a.txt', DIGITS) as path:
        await check_rows(app_of_digits(path), rows)


async def test_malformed_dates_are_ignored():
    rows = []
    for date in NO_DATES:
        rows.append(('13.1.3', {'If-Modified-Since': date}, 200))
        rows.append(('13.1.4', {'If-Unmodified-Since': date}, 200))
        if date != '"v1"':
            rows.append(('13.1.5', {'If-Range': date, 'Range': 'bytes=1-2'}, 200))
    with temporary_file('a.txt', DIGITS) as path:
        await check_rows(app_of_digits(path), rows)


ABSENT, TRUE, FALSE = range(3)
#: Each with a value for which it is true and one for which it is false.
PRECEDENCE = (
    ('If-Match', '"v1"', '"v2"'),
    ('If-Unmodified-Since', DATE, EARLIER),
    ('If-None-Match', '"v2"', '"v1"'),
    ('If-Modified-Since', EARLIER, DATE),
    ('If-Range', '"v1"', '"v2"'),
)


def status_by_precedence(states, is_get, has_range):
    """The steps of section 13.2.2."""
    match, unmodified, none_match, modified, if_range = states
    if match == FALSE or match == ABSENT and unmodified == FALSE:  # steps 1 and 2
        return 412
    if none_match == FALSE or none_match == ABSENT and modified == FALSE:  # steps 3 and 4
        return 304
    return 206 if is_get and has_range and if_range != FALSE else 200  # steps 5 and 6


async def test_precedence():
    with temporary_file('a.txt', DIGITS) as path:
        client = TestClient(app_of_digits(path))
        for number in range(3 ** 5 * 2 * 2):
            number, is_get = divmod(number, 2)
            number, has_range = divmod(number, 2)
            states = [number // 3 ** i % 3 for i in range(5)]
            headers = {'Range': 'bytes=2-4'} if has_range else {}
            for state, condition in zip(states, PRECEDENCE):
                if state != ABSENT:
                    headers[condition[0]] = condition[state]
            response = await client.request('GET' if is_get else 'HEAD', '/', headers)
            assert response.status_code == status_by_precedence(states, is_get, has_range), (is_get, headers)
            if is_get:
                check_response(response, DIGITS, *((2, 5) if response.status_code == 206 else ()))


async def test_conditions_without_validators():
    async def drop_validators(request, response):
        del response.headers['ETag']
        del response.headers['Last-Modified']

    with temporary_file('a.txt', DIGITS) as path:
        app = app_that_sends(path, drop_validators)
        for section, headers, status_code in (
                ('13.1.1', {'If-Match': '*'}, 200),
                ('13.1.1', {'If-Match': '"v1"'}, 412),
                ('13.1.1', {'If-Match': '""'}, 412),
                ('13.1.2', {'If-None-Match': '*'}, 304),
                ('13.1.2', {'If-None-Match': '"v1"'}, 200),
                ('13.1.2', {'If-None-Match': ''}, 200),
                ('13.1.3', {'If-Modified-Since': LATER}, 200),
                ('13.1.4', {'If-Unmodified-Since': EARLIER}, 200),
                ('13.1.5', {'If-Range': '"v1"', 'Range': 'bytes=1-2'}, 200),
                ('13.1.5', {'If-Range': '', 'Range': 'bytes=1-2'}, 200),
                ('13.1.5', {'If-Range': DATE, 'Range': 'bytes=1-2'}, 200),
                ('14.2', {'Range': 'bytes=1-2'}, 206)):
            assert (await ask(app, headers)).status_code == status_code, (section, headers)


async def test_a_response_that_is_not_modified():
    # 15.4.5: with what the 200 would have had to say to caches, and no more
    async def more(request, response):
        response.headers['Content-Location'] = '/a.txt'
        response.headers['Expires'] = LATER
        response.headers['Vary'] = 'Cookie'
        response.headers['X-Own'] = 'yes'

    with temporary_file('a.txt', DIGITS) as path:
        app = app_that_sends(path, more, max_age=60, compressed=True)
        full = await ask(app)
        for method in 'GET', 'HEAD':
            response = await ask(app, {'If-None-Match': full.headers['ETag']}, method)
            assert (response.status_code, response.body) == (304, b'')
            for name in 'ETag', 'Last-Modified', 'Content-Location', 'Expires', 'Vary', 'Cache-Control', 'X-Own':
                assert response.headers[name] == full.headers[name]
            for name in 'Content-Type', 'Content-Length', 'Content-Encoding', 'Content-Range', 'Transfer-Encoding':
                assert name not in response.headers


async def test_a_precondition_that_failed():
    # 15.5.13
    with temporary_file('a.txt', DIGITS) as path:
        app = app_of_digits(path, compressed=True)
        for method in 'GET', 'HEAD':
            response = await ask(app, {'If-Match': '"v2"'}, method)
            assert response.status_code == 412
            assert 'Content-Encoding' not in response.headers and DIGITS not in response.body


async def test_only_get_and_head_have_conditions():
    with temporary_file('a.txt', DIGITS) as path:
        for headers in {'If-Match': '"v2"'}, {'If-None-Match': '*'}, {'If-Modified-Since': LATER}, \
                {'If-Unmodified-Since': EARLIER}, {'Range': 'bytes=1-2'}, {'Range': 'bytes=20-'}:
            response = await ask(app_of_digits(path), headers, 'POST')
            assert (response.status_code, response.body) == (200, DIGITS), headers
            assert 'Content-Range' not in response.headers


async def test_other_status_codes_have_no_conditions():
    # 13.2.1: only where the answer would be a 2xx, and here only a 200 is of the file itself
    with temporary_file('a.txt', DIGITS) as path:
        for status_code in 404, 201, 203, 500:
            for headers in {'If-Match': '"v2"'}, {'If-None-Match': '*'}, {'Range': 'bytes=1-2'}:
                response = await ask(app_that_sends(path, status_code=status_code), headers)
                assert (response.status_code, response.body) == (status_code, DIGITS), headers
                assert 'ETag' not in response.headers and 'Accept-Ranges' not in response.headers


async def test_a_hook_may_change_the_status():
    async def found_elsewhere(request, response):
        response.status_code = 203

    with temporary_file('a.txt', DIGITS) as path:
        for headers in {'If-None-Match': '*'}, {'Range': 'bytes=1-2'}:
            response = await ask(app_that_sends(path, found_elsewhere), headers)
            assert (response.status_code, response.body) == (203, DIGITS)


async def test_a_hook_may_change_the_body():
    async def replace(request, response):
        return 'other'

    with temporary_file('a.txt', DIGITS) as path:
        response = await ask(app_that_sends(path, replace), {'If-None-Match': '*', 'Range': 'bytes=1-2'})
        assert (response.status_code, response.body) == (200, b'other')


async def test_error_handlers_may_send_files():
    async def not_found(request):
        return send_file(path, status_code)

    app = Microdot()
    app.errorhandler(404)(not_found)
    with temporary_file('a.html', DIGITS) as path:
        status_code = 404
        for headers in {}, {'If-None-Match': '*'}, {'If-Match': '"v2"'}, {'Range': 'bytes=1-2'}:
            response = await ask(app, headers, path='/missing')
            assert (response.status_code, response.body) == (404, DIGITS), headers
        status_code = 200  # an application of one page, which finds its way by itself
        tag = (await ask(app, path='/anywhere')).headers['ETag']
        assert (await ask(app, {'If-None-Match': tag}, path='/anywhere')).status_code == 304
        response = await ask(app, {'Range': 'bytes=1-2'}, path='/anywhere')
        assert (response.status_code, response.body) == (206, b'12')
    with logged_errors() as errors:  # the file is gone
        assert (await ask(app, path='/anywhere')).status_code == 404
    assert not errors  # a client could fill the log otherwise, with ranges


async def test_streams_have_no_validators():
    class Stream:
        def __init__(self):
            self.data = DIGITS

        def read(self, n):
            data, self.data = self.data[:n], self.data[n:]
            return data

    app = Microdot()

    @app.get('/')
    async def index(request):
        return send_file('a.txt', stream=Stream())

    for headers in {}, {'If-None-Match': '*'}, {'If-Match': '"v2"'}, {'Range': 'bytes=1-2'}:
        response = await ask(app, headers)
        assert (response.status_code, response.body) == (200, DIGITS), headers
        for name in 'ETag', 'Last-Modified', 'Accept-Ranges', 'Content-Range':
            assert name not in response.headers


# ---------------------------------------------------------------------------------------------------------------
# Ranges (section 14)
# ---------------------------------------------------------------------------------------------------------------

def ranges():
    """Return the rows (section, Range, status, first byte, the one after the last)."""
    satisfiable = (
        ('0-4', 0, 5), ('0-0', 0, 1), ('9-9', 9, 10), ('5-', 5, 10), ('0-', 0, 10), ('9-', 9, 10), ('0-9', 0, 10),
        ('0-10', 0, 10), ('3-99999', 3, 10), ('3-' + '9' * 30, 3, 10), ('03-0004', 3, 5),
        ('-1', 9, 10), ('-3', 7, 10), ('-10', 0, 10), ('-11', 0, 10), ('-' + '9' * 30, 0, 10), ('-03', 7, 10))
    rows = [('14.1.2', 'bytes=' + value, 206, start, end) for value, start, end in satisfiable]
    for value in '10-', '10-10', '11-20', '10-' + '9' * 30, '9' * 30 + '-', '9' * 30 + '-' + '9' * 31, '-0', '-000':
        rows.append(('14.1.2, 15.5.17', 'bytes=' + value, 416))
    for unit in 'BYTES', 'Bytes', 'bYTES':
        rows.append(('14.1', unit + '=2-3', 206, 2, 4))
    for value in 'items=0-4', 'seconds=1-2', 'none', 'x=', 'byte=0-4', 'bytesx=0-4', '=0-4', 'lines=10-':
        rows.append(('14.2, other units', value, 200))
    for value in '0-1,4-5', '0-1, 4-5', '0-,0-,0-', '-1,-2', '0-0,20-', '20-,30-', '0-1,a', ','.join(['0-'] * 100):
        rows.append(('14.2, several', 'bytes=' + value, 200))
    for value in ('', '-', '--', '---', '1', 'a', 'a-b', '1-a', 'a-1', '--1', '1--2', '-1-', '1-2-3', '5-4', '9-0',
                  '20-10', '0x1-2', '+1-2', '1-+2', '1 - 2', '1- 2', '-+3', '- 3', '1.0-2', '1e1-', '1_0-', '0-1_0',
                  '-1_0', '\xb2-', '1-\xb2', '-\xb3', '\u0661-\u0662', '*', '*/10', '0-4/10', '0-4;x', '0-4 x', '"0-4"',
                  '=0-4', '1:2', ',', ';', ' ', '\xff', '1\t-2'):
        rows.append(('14.1.1, invalid', 'bytes=' + value, 200))
    for value in 'bytes', 'bytes 0-4', 'bytes:0-4', '0-4', '', 'bytes =0-4', 'bytes==0-4':
        rows.append(('14.1.1, invalid', value, 200))
    return rows


async def test_ranges():
    rows = [(row[0], {'Range': row[1]}) + row[2:] for row in ranges()]
    with temporary_file('a.txt', DIGITS) as path:
        await check_rows(app_of_digits(path), rows)


async def test_numbers_of_a_thousand_digits():
    n = 1200 if ON_MICROPYTHON else 6000
    with temporary_file('a.txt', DIGITS) as path, changed(Request, max_readline=8192, max_header_size=16384):
        for value, status_codes in (('2-' + '9' * n, (206,)), ('9' * n + '-', (416,)), ('-' + '9' * n, (206,)),
                                    ('0' * n + '2-3', (206,)), ('0-0,' * (n // 4), (200,)), ('-' * n, (200,)),
                                    (',' * n, (200,)), (',' * n + '2-3', (200, 206))):
            response = await ask(app_of_digits(path), {'Range': 'bytes=' + value})
            assert response.status_code in status_codes, value[:10]


async def test_empty_elements_of_the_list():
    # 5.6.1.2: a single range with empty elements beside it; that all of it is sent is allowed too (14.2)
    with temporary_file('a.txt', DIGITS) as path:
        for value in 'bytes=2-3,', 'bytes=,2-3', 'bytes=, ,2-3 ,':
            response = await ask(app_of_digits(path), {'Range': value})
            assert (response.status_code, response.body) in ((206, b'23'), (200, DIGITS)), value


async def test_ranges_of_an_empty_file():
    with temporary_file('empty.txt') as path:
        for value, status_code in (('0-', 416), ('0-0', 416), ('1-', 416), ('-0', 416), ('-5', 200), ('x', 200)):
            response = await ask(app_that_sends(path), {'Range': 'bytes=' + value})
            assert response.status_code == status_code, value
            assert response.headers.get('Content-Range') == ('bytes */0' if status_code == 416 else None)
            assert status_code != 200 or response.headers['Content-Length'] == '0'


IF_RANGE = (
    ('13.1.5', {'If-Range': '"v1"', 'Range': 'bytes=2-3'}, 206, 2, 4),
    ('13.1.5', {'If-Range': '"v2"', 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': 'W/"v1"', 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': '*', 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': 'v1', 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': '"v1', 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': '"', 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': '', 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': '"v1", "v2"', 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': DATE, 'Range': 'bytes=2-3'}, 206, 2, 4),
    ('13.1.5', {'If-Range': LATER, 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': EARLIER, 'Range': 'bytes=2-3'}, 200),
    ('13.1.5', {'If-Range': '"v1"', 'Range': 'bytes=20-'}, 416),
    ('13.1.5', {'If-Range': '"v2"', 'Range': 'bytes=20-'}, 200),
    ('13.1.5', {'If-Range': '"v1"', 'Range': 'bytes=x'}, 200),
    ('13.1.5', {'If-Range': '"v1"'}, 200),
    ('13.1.5', {'If-Range': '"v2"'}, 200),
    ('13.2.2', {'If-None-Match': '"v1"', 'Range': 'bytes=20-'}, 304),
    ('13.2.2', {'If-Match': '"v2"', 'Range': 'bytes=20-'}, 412),
)


async def test_if_range():
    with temporary_file('a.txt', DIGITS) as path:
        await check_rows(app_of_digits(path), IF_RANGE)


async def test_head_has_no_ranges():
    # 14.2: defined for GET alone
    with temporary_file('a.txt', DIGITS) as path:
        for value in 'bytes=2-3', 'bytes=20-', 'bytes=-0':
            response = await ask(app_of_digits(path), {'Range': value}, 'HEAD')
            assert (response.status_code, response.headers['Content-Length']) == (200, '10')
            assert 'Content-Range' not in response.headers


async def test_a_part_of_a_compressed_file():
    # 14.1.2: of the representation, that is of the coded bytes
    with temporary_file('a.css', DIGITS) as path:
        app = app_of_digits(path, compressed=True, max_age=7)
        response = await ask(app, {'Range': 'bytes=-3'})
        assert (response.status_code, response.body) == (206, b'789')
        full = await ask(app)
        for name in 'Content-Encoding', 'Content-Type', 'Cache-Control', 'ETag', 'Last-Modified':
            assert response.headers[name] == full.headers[name]
        response = await ask(app, {'Range': 'bytes=10-'})
        assert response.status_code == 416
        assert 'Content-Encoding' not in response.headers and 'Cache-Control' not in response.headers


async def test_a_part_is_read_in_pieces():
    with temporary_file('a.txt', DIGITS * 10) as path, changed(Response, send_file_buffer_size=7):
        for value, start, end in ('0-99', 0, 100), ('13-86', 13, 87), ('-8', 92, 100), ('1-7', 1, 8), ('1-8', 1, 9):
            response = await ask(app_that_sends(path), {'Range': 'bytes=' + value})
            assert (response.status_code, response.body) == (206, (DIGITS * 10)[start:end])


async def test_parts_of_a_large_file():
    """Over a socket, one after the other on one connection; CPython leaves them to the system."""
    n = 1000 if ON_MICROPYTHON else 10000
    content = bytes(range(251)) * (n // 8)
    size = len(content)
    with temporary_file('large.bin', content) as path:
        async with serving(app_that_sends(path)) as server:
            client = await Client.connect(server)
            for value, start, end in (
                    ('0-', 0, size), ('1-', 1, size), ('0-%d' % (20 * n - 1), 0, 20 * n), ('1000-1999', 1000, 2000),
                    ('%d-%d' % (7 * n, 20 * n), 7 * n, 20 * n + 1), ('-%d' % (10 * n), size - 10 * n, size),
                    ('-1', size - 1, size)):
                await client.send(b'GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=%s\r\n\r\n' % value.encode())
                status_code, body = await client.read_response()
                assert status_code == 206 and body == content[start:end], value
            assert await client.get() == (200, content)
            await client.close()


# ---------------------------------------------------------------------------------------------------------------
# Opening
# ---------------------------------------------------------------------------------------------------------------

async def test_a_file_is_opened_only_to_be_sent():
    with temporary_file('a.txt', DIGITS) as path:
        app = app_of_digits(path)
        for method, headers, status_code, count in (
                ('GET', {}, 200, 1),
                ('GET', {'Range': 'bytes=2-3'}, 206, 1),
                ('POST', {}, 200, 1),
                ('HEAD', {}, 200, 0),
                ('HEAD', {'Range': 'bytes=2-3'}, 200, 0),
                ('GET', {'If-None-Match': '"v1"'}, 304, 0),
                ('GET', {'If-Match': '"v2"'}, 412, 0),
                ('GET', {'Range': 'bytes=10-'}, 416, 0)):
            with opened_files() as names:
                assert (await ask(app, headers, method)).status_code == status_code
            assert names == [path] * count, (method, headers, names)


async def test_a_file_that_is_removed_before_it_is_opened():
    async def remove(request, response):
        os.remove(path)

    for method, status_code in ('GET', 404), ('HEAD', 200), ('POST', 404):
        file = temporary_file('a.txt', DIGITS)
        path = file.__enter__()
        response = await ask(app_that_sends(path, remove), method=method)
        assert response.status_code == status_code, method


def slow_disk():
    """Let every look at the file system take long, as far as anybody knows; MicroPython has no threads for that."""
    return changed(file_body.disk, slow=-1) if file_body.disk else changed(file_body)


async def test_a_slow_file_system():
    count = 2000 if ON_MICROPYTHON else 20000
    with temporary_file('a.txt', DIGITS) as path, slow_disk():
        for _ in range(2):  # the first time it is fast as far as anybody knows
            await check_rows(app_of_digits(path), CONDITIONS + IF_RANGE)
            assert (await ask(app_that_sends(path), method='HEAD')).status_code == 200
    with folder(TREE) as path, slow_disk():
        client = TestClient(app_of_site(path))
        for _ in range(2):
            assert (await client.get('/static/style.css', {'Accept-Encoding': 'gzip'})).body == b'the style, gzip'
            assert (await client.get('/static/missing')).status_code == 404
    with temporary_file('large.bin', DIGITS * count) as path, slow_disk():
        async with serving(app_that_sends(path)) as server:
            client = await Client.connect(server)
            for _ in range(2):
                assert await client.get() == (200, DIGITS * count)
            await client.close()


def test_types():
    send_file('a.txt', stream=DIGITS)
    for extension, kind in (
            ('html', 'text/html'), ('htm', 'text/html'), ('css', 'text/css'), ('js', 'text/javascript'),
            ('mjs', 'text/javascript'), ('json', 'application/json'), ('map', 'application/json'),
            ('xml', 'application/xml'), ('txt', 'text/plain'), ('csv', 'text/csv'), ('md', 'text/markdown'),
            ('svg', 'image/svg+xml'), ('png', 'image/png'), ('jpg', 'image/jpeg'), ('jpeg', 'image/jpeg'),
            ('gif', 'image/gif'), ('webp', 'image/webp'), ('avif', 'image/avif'), ('woff', 'font/woff'),
            ('woff2', 'font/woff2'), ('ttf', 'font/ttf'), ('wasm', 'application/wasm'), ('pdf', 'application/pdf'),
            ('mp4', 'video/mp4'), ('webm', 'video/webm'), ('mp3', 'audio/mpeg'), ('wav', 'audio/wav'),
            ('zip', 'application/zip'), ('gz', 'application/gzip')):
        if not ON_MICROPYTHON:  # where a dictionary of them would take too much of the heap
            assert Response.types_map[extension] == kind
        assert send_file('x.' + extension.upper(), stream=DIGITS).headers['Content-Type'] == kind
    assert 'icon' in send_file('x.ico', stream=DIGITS).headers['Content-Type']
    assert ON_MICROPYTHON or len(Response.types_map) >= 40


def test_add_vary():
    for before, name, after in (
            (None, 'Cookie', 'Cookie'), ('Cookie', 'Origin', 'Cookie, Origin'), ('Cookie', 'cookie', 'Cookie'),
            ('a, Cookie ,b', 'COOKIE', 'a, Cookie ,b'), ('*', 'Cookie', '*'), ('Cookie2', 'Cookie', 'Cookie2, Cookie')):
        response = Response('', headers={'Vary': before} if before else {})
        add_vary(response, name)
        assert response.headers['Vary'] == after


# ---------------------------------------------------------------------------------------------------------------
# Directories
# ---------------------------------------------------------------------------------------------------------------

SECRET = b'this must stay here'
TREE = {
    'secret.txt': SECRET,
    'site-backup/secret.txt': SECRET,
    'site/index.html': b'the index',
    'site/style.css': b'the style',
    'site/style.css.gz': b'the style, gzip',
    'site/app.js': b'the script',
    'site/app.js.br': b'the script, br',
    'site/app.js.zst': b'the script, zstd',
    'site/app.js.gz': b'the script, gzip',
    'site/packed.html.gz': b'the page, gzip',
    'site/plain': b'no extension',
    'site/.well-known/security.txt': b'contact',
    'site/do..ts..txt': b'dots',
    'site/.env': SECRET,
    'site/.git/config': SECRET,
    'site/..data/secret.txt': SECRET,
    'site/a b+c%41;d=e.txt': b'a name',
    'site/gr\u00fc\u00df.txt': b'umlauts',
    'site/sub/index.html': b'the index below',
    'site/sub/page.html': b'the page below',
    'site/sub/deep/page.html': b'the page far below',
    'site/odd.txt': b'odd',
    'site/back\\slash.txt': b'never sent, because it would be another one on Windows',
    'site/odd.txt.gz/x': b'this is a directory',
    'site/evil.com/index.html': b'a harmless page',
    'site/a b?c#d%41\u00fc/index.html': b'a strange directory',
}


def app_of_site(path, url_prefix='/static', **options):
    app = Microdot()
    Static(app, url_prefix, path + '/site', **options)
    return app


async def get_raw(app, target, lines=b''):
    """Return all that is sent in answer to a request target of any form, in bytes."""
    return await TestClient(app).exchange([b'GET ' + target + b' HTTP/1.1\r\nHost: a\r\nConnection: close\r\n'
                                           + lines + b'\r\n'])


async def test_static():
    with folder(TREE) as path:
        client = TestClient(app_of_site(path))
        for name, kind, body in (
                ('style.css', 'text/css', b'the style'),
                ('app.js', 'text/javascript', b'the script'),
                ('index.html', 'text/html', b'the index'),
                ('plain', 'application/octet-stream', b'no extension'),
                ('sub/page.html', 'text/html', b'the page below'),
                ('sub/deep/page.html', 'text/html', b'the page far below'),
                ('.well-known/security.txt', 'text/plain', b'contact'),
                ('do..ts..txt', 'text/plain', b'dots'),
                ('a%20b+c%2541;d=e.txt', 'text/plain', b'a name'),
                ('gr%c3%bc%c3%9f.txt', 'text/plain', b'umlauts'),
                ('%73tyle.css', 'text/css', b'the style'),
                ('style.css?v=1', 'text/css', b'the style'),
                ('style.css?../../secret.txt', 'text/css', b'the style'),
                ('style.css.gz', 'application/gzip', b'the style, gzip')):
            response = await client.get('/static/' + name, {'Accept-Encoding': 'identity'})
            assert (response.status_code, response.body) == (200, body), name
            assert response.headers['Content-Type'].split(';')[0] == kind
            assert 'Content-Encoding' not in response.headers
            assert response.headers['Vary'] == 'Accept-Encoding'
            response = await client.request('HEAD', '/static/' + name, {'Accept-Encoding': 'identity'})
            assert (response.status_code, response.headers['Content-Length']) == (200, str(len(body)))


async def test_static_that_is_missing():
    with folder(TREE) as path:
        for index in None, 'index.html':
            client = TestClient(app_of_site(path, index=index))
            for name in ('missing', 'style', 'style.css/', 'style.css/x', 'style.css.br', 'STYLE.CSS', 'sub/missing',
                         'back\\slash.txt', 'back%5cslash.txt', 'missing/', 'missing/index.html', 'sub/deep/',
                         'sub//page.html', '/style.css', 'sub/./page.html', 'sub/../style.css', './style.css',
                         'sub%2Fpage.html', 'sub%2fpage.html', 'sub%2F', '%20style.css', 'style.css%20', 'style.css.',
                         'style.css%00', 'x' * 300, '/'.join(['x'] * 100)):
                assert (await client.get('/static/' + name)).status_code == 404, name
            assert (await client.get('/statics/style.css')).status_code == 404
            assert (await client.get('/style.css')).status_code == 404


async def test_static_has_conditions_and_ranges():
    with folder(TREE) as path:
        client = TestClient(app_of_site(path, max_age=3600))
        full = await client.get('/static/style.css')
        assert full.headers['Cache-Control'] == 'max-age=3600'
        response = await client.get('/static/style.css', {'If-None-Match': full.headers['ETag']})
        assert (response.status_code, response.body) == (304, b'')
        assert response.headers['Cache-Control'] == 'max-age=3600'
        assert response.headers['Vary'] == 'Accept-Encoding'
        response = await client.get('/static/style.css', {'Range': 'bytes=4-'})
        assert (response.status_code, response.body) == (206, b'style')
        assert response.headers['Vary'] == 'Accept-Encoding'
        response = await client.get('/static/style.css', {'Range': 'bytes=4-', 'Accept-Encoding': 'gzip'})
        assert (response.status_code, response.body) == (206, b'style, gzip')
        assert response.headers['Content-Range'] == 'bytes 4-14/15'
        assert response.headers['ETag'] != full.headers['ETag']
        response = await client.get('/static/style.css', {'Range': 'bytes=99-'})
        assert (response.status_code, response.headers['Content-Range']) == (416, 'bytes */9')
        assert (await client.get('/static/style.css', {'If-Match': '"x"'})).status_code == 412


async def test_static_methods():
    with folder(TREE) as path:
        client = TestClient(app_of_site(path, index='index.html'))
        for method in 'POST', 'PUT', 'PATCH', 'DELETE':
            response = await client.request(method, '/static/style.css')
            assert response.status_code == 405, method
            assert 'GET' in response.headers['Allow'] and 'HEAD' in response.headers['Allow']
        with open(path + '/site/style.css', 'rb') as f:
            assert f.read() == b'the style'


async def test_head_opens_no_file():
    with folder(TREE) as path:
        client = TestClient(app_of_site(path))
        for coding, name in ('gzip', '/site/style.css.gz'), ('identity', '/site/style.css'):
            with opened_files() as names:
                response = await client.request('HEAD', '/static/style.css', {'Accept-Encoding': coding})
                assert response.status_code == 200 and names == []
                assert (await client.get('/static/style.css', {'Accept-Encoding': coding})).status_code == 200
                assert [opened[-len(name):] for opened in names] == [name]


async def test_initialize_later():
    with folder(TREE) as path:
        static = Static(url_prefix='/files', directory=path + '/site')
        for app in Microdot(), Microdot():
            static.initialize(app)
            assert (await ask(app, path='/files/style.css')).status_code == 200


async def test_prefixes():
    with folder(TREE) as path:
        for prefix, base in ('', '/'), ('/', '/'), ('/a/b', '/a/b/'), ('/a/', '/a/'):
            app = app_of_site(path, prefix, index='index.html')
            assert (await ask(app, path=base + 'style.css')).body == b'the style', prefix
            assert (await ask(app, path=base)).body == b'the index', prefix


async def test_sub_applications():
    with folder(TREE) as path:
        for prefix, mounted in ('/static', '/sub'), ('', '/sub'), ('/', '/sub'), ('/static', '/a/b'), ('/static', ''):
            sub = app_of_site(path, prefix, index='index.html')
            app = Microdot()
            app.mount(sub, url_prefix=mounted)
            base = mounted + prefix.rstrip('/')
            for name, body in ('/style.css', b'the style'), ('/sub/page.html', b'the page below'), ('/', b'the index'):
                assert (await ask(app, path=base + name)).body == body, base + name
            response = await ask(app, path=base + '/sub')
            assert (response.status_code, response.headers['Location']) == (301, './sub/')
            assert (await ask(app, path=base + '/..%2fsecret.txt')).status_code == 404


async def test_other_routes_come_first():
    app = Microdot()

    @app.get('/api')
    async def api(request):
        return 'api'

    with folder(TREE) as path:
        Static(app, '', path + '/site', index='index.html')
        for name, body in ('/api', b'api'), ('/style.css', b'the style'), ('/', b'the index'):
            assert (await ask(app, path=name)).body == body


# Directories that a browser asks for

async def test_index():
    with folder(TREE) as path:
        client = TestClient(app_of_site(path, index='index.html'))
        for name, body in (('', b'the index'), ('sub/', b'the index below'), ('sub/?x=1', b'the index below'),
                           ('evil.com/', b'a harmless page')):
            response = await client.get('/static/' + name)
            assert (response.status_code, response.body) == (200, body), name
            assert response.headers['Content-Type'].split(';')[0] == 'text/html'
            assert response.headers['Vary'] == 'Accept-Encoding'
            assert (await client.get('/static/' + name, {'If-None-Match': response.headers['ETag']})).status_code == 304
        for name, location in (
                ('sub', './sub/'), ('sub?x=1', './sub/?x=1'), ('sub?x=/a?b//c', './sub/?x=/a?b//c'),
                ('sub/deep', './deep/'), ('evil.com', './evil.com/'), ('odd.txt.gz', './odd.txt.gz/')):
            response = await client.get('/static/' + name)
            assert (response.status_code, response.headers['Location']) == (301, location), name
            assert (await client.request('HEAD', '/static/' + name)).status_code == 301


async def test_the_directory_without_its_slash():
    with folder(TREE) as path:
        app = Microdot()
        app.mount(app_of_site(path, '/a/static', index='index.html'), url_prefix='/b')
        for name, location in ('/b/a/static', './static/'), ('/b/a/static?x=/y', './static/?x=/y'):
            response = await ask(app, path=name)
            assert (response.status_code, response.headers['Location']) == (301, location)
        assert (await ask(app_of_site(path, '/static'), path='/static')).status_code == 404


async def test_without_index():
    with folder(TREE) as path:
        client = TestClient(app_of_site(path))
        for name in '', 'sub', 'sub/', 'sub/deep', 'sub/deep/', 'odd.txt.gz':
            assert (await client.get('/static/' + name)).status_code == 404, name


async def test_another_index():
    with folder({'site/home.htm': b'home', 'site/packed/home.htm.gz': b'packed'}) as path:
        client = TestClient(app_of_site(path, index='home.htm'))
        assert (await client.get('/static/')).body == b'home'
        response = await client.get('/static/packed/', {'Accept-Encoding': 'gzip'})
        assert (response.body, response.headers['Content-Encoding']) == (b'packed', 'gzip')


async def test_redirects_keep_the_name():
    with folder(TREE) as path:
        app = app_of_site(path, index='index.html')
        name = b'/static/a%20b%3fc%23d%2541%c3%bc'
        response = TestResponse.parse(await get_raw(app, name))
        location = response.headers['Location']
        assert response.status_code == 301 and location[:2] == './' and location[-1] == '/'
        response = TestResponse.parse(await get_raw(app, b'/static/' + location[2:].encode()))
        assert response.body == b'a strange directory'


async def test_redirects_stay_on_the_site():
    with folder(TREE) as path:
        for prefix in '', '/static':
            app = app_of_site(path, prefix, index='index.html')
            for name in ('/evil.com', '//evil.com', '///evil.com', '/%2fevil.com', '/%2Fevil.com', '/\\evil.com',
                         '/%5cevil.com', '/%5C%5Cevil.com', '/./evil.com', '/.//evil.com', '//evil.com/..',
                         '/sub//evil.com', '/%0d%0aevil.com', '/%09/evil.com', '/evil.com%2f', '/evil.com%5c',
                         '/evil.com%2f..', '/http:/evil.com', '/http://evil.com', '/javascript:evil.com',
                         '/evil.com?//x', '/evil.com?\\x', '/sub/..%2fevil.com', '/@evil.com', '/evil.com%23',
                         '/evil.com%3f'):
                response = TestResponse.parse(await get_raw(app, (prefix + name).encode()))
                location = response.headers.get('Location')
                assert location is None or response.status_code == 301 and location[:11] == './evil.com/', name
                assert location is None or '\\' not in location.partition('?')[0], name


# Paths that lead elsewhere

DOTS = ('..', '%2e%2e', '%2E%2E', '.%2e', '%2e.', '%252e%252e', '%25252e%25252e', '...', '....', '..;', '..;x=1',
        '%2e%2e;', '..%3b', '..%00', '%00..', '..%20', '%20..', '..%09', '..%0a', '..%0d%0a', '..%ff', '..~',
        '..%c0%80', '..::$INDEX', '%c0%ae%c0%ae', '%c0%2e%c0%2e', '%e0%80%ae%e0%80%ae', '%f0%80%80%ae%f0%80%80%ae',
        '%ef%bc%8e%ef%bc%8e', '%u002e%u002e', '%uff0e%uff0e', '%%32e%%32e', '%2', '%', '*', '~', '~root', '$HOME',
        '%24HOME')
SLASHES = ('/', '//', '///', '%2f', '%2F', '%252f', '%25252f', '\\', '%5c', '%5C', '%255c', '\\\\', '/./', '/%2e/',
           '%2f%2f', '%c0%af', '%e0%80%af', '%c1%9c', '%ef%bc%8f', '%e2%88%95', '%e2%81%84', '%u2215', '%u2216',
           '%%32f', '%00/', ';/', '|', '%20/')
OTHERS = (
    '/secret.txt', '/sub/../../secret.txt', '/sub/%2e%2e/%2e%2e/secret.txt', '/sub/..%2f..%2fsecret.txt',
    '/sub/..;/..;/secret.txt', '/sub%2f..%2f..%2fsecret.txt', '/sub/..\\..\\secret.txt', '/sub%5c..%5c..%5csecret.txt',
    '/style.css/../../secret.txt', '/style.css%00/../../secret.txt', '/../secret.txt%00', '/../secret.txt%00.css',
    '/..%2fsecret.txt%00.css', '/../secret.txt%20', '/../secret.txt.', '/../secret.txt::$DATA', '/../secret.txt/',
    '/../site-backup/secret.txt', '/..%2fsite-backup%2fsecret.txt', '-backup/secret.txt', '/../site/../secret.txt',
    '/%2e%2e/site/%2e%2e/secret.txt', '/....//secret.txt', '/....//....//secret.txt', '/..././secret.txt',
    '/.../.././secret.txt', '/./../secret.txt', '/.//../secret.txt', '/?/../../secret.txt', '/../?/../secret.txt',
    '/.env', '/%2eenv', '/.git/config', '/%2egit/config', '/..data/secret.txt', '/sub/../.env', '/.well-known/../.env',
    '/..', '/../', '/%2e%2e', '/%2e%2e/', '/.', '/./', '/%2e', '/sub/..', '/sub/.', '/sub/../..', '//', '/%2f', '/%5c',
    '/%00', '/C:/secret.txt', '/c:secret.txt', '/C%3a%5csecret.txt', '/C:..%5csecret.txt',
    '/%5c%5clocalhost%5cC$%5csecret.txt', '//localhost/C$/secret.txt', '/%5c%5c?%5cC:%5csecret.txt',
    '/file:///secret.txt', '/CON', '/NUL', '/dev/null', '//etc/passwd', '/%2fetc/passwd', '/%2Fetc%2Fpasswd',
    '/%252fetc%252fpasswd', '/' + '../' * 20 + 'etc/passwd', '/' + '%2e%2e%2f' * 20 + 'etc/passwd',
    '/' + '..%5c' * 20 + 'etc%5cpasswd', '/' + '..;/' * 20 + 'etc/passwd', '//proc/self/environ',
    '/%2fproc%2fself%2fenviron', '/../../../../../../../proc/self/cwd/../secret.txt')


def hostile_paths(root):
    """Return paths, below the prefix, that lead to the secret or elsewhere if they are taken in a wrong way."""
    paths = list(OTHERS)
    for dots in DOTS:
        paths.append('/%s/secret.txt' % dots)
        paths.append('/%s%%2fsecret.txt' % dots)
        paths.append('/sub/%s/%s/secret.txt' % (dots, dots))
    for slash in SLASHES:
        paths.append('/..%ssecret.txt' % slash)
        paths.append('/%%2e%%2e%ssecret.txt' % slash)
        paths.append('/sub%s..%s..%ssecret.txt' % (slash, slash, slash))
        paths.append('/%s%s/secret.txt' % (slash, root.lstrip('/')))  # absolute
        paths.append('/' + (root + '/secret.txt').replace('/', slash))
    return paths


async def test_no_path_leads_out():
    with folder(TREE) as root:
        paths = hostile_paths(root)
        assert len(set(paths)) > 60
        for prefix, index in ('/static', None), ('/static', 'index.html'), ('', 'secret.txt'):
            app = app_of_site(root, prefix, index=index)
            for path in paths:
                data = await get_raw(app, (prefix + path).encode())
                response = TestResponse.parse(data)
                assert SECRET not in data and b'root:' not in data, (prefix, path)
                if not (index and path in ('/./', '/?/../../secret.txt', '/sub/?/..')):
                    assert response.status_code in (400, 404), (prefix, path, response.status_code)


async def test_no_bytes_lead_out():
    """What is no URL at all, and other forms of the request target (RFC 9112 section 3.2)."""
    with folder(TREE) as root:
        app = app_of_site(root)
        for target in (b'/static/..\xc0\xafsecret.txt', b'/static/\xc0\xae\xc0\xae/secret.txt',
                       b'/static/..\xff/secret.txt', b'/static/..\x00/secret.txt', b'/static/.. /secret.txt',
                       b'/static/..\t/secret.txt', b'/static/..\\secret.txt',
                       b'/static/\xef\xbc\x8e\xef\xbc\x8e/secret.txt', b'http://a/static/../secret.txt',
                       b'http://a/static/%2e%2e/secret.txt', b'static/../secret.txt', b'../secret.txt',
                       b'/static/#/../../secret.txt', b'file:///static/../secret.txt', b'//a/static/../secret.txt',
                       b'*', b'/static/..#/secret.txt'):
            data = await get_raw(app, target)
            assert SECRET not in data
            assert data[9:12] in (b'400', b'404', b'405', b'501'), (target, data[:80])


async def test_the_secret_is_there_to_be_found():
    """The paths above fail because they are refused, not because there is nothing."""
    with folder(TREE) as root:
        app = Microdot()
        Static(app, directory=root)
        assert SECRET in await get_raw(app, b'/static/secret.txt')
        app = Microdot()

        @app.get('/static/<path:path>')
        async def careless(request, path):
            return send_file(root + '/site/' + path)

        found = 0
        for path in hostile_paths(root):
            found += SECRET in await get_raw(app, b'/static' + path.encode())
        assert found > 20


# Precompressed files

CODINGS = (
    # Accept-Encoding, then what is sent of app.js (itself, br, zst, gz), style.css (itself, gz), packed.html (gz)
    (None, '', '', 'gzip'),  # RFC 9110 section 12.5.3: everything is acceptable
    ('', '', '', 406),  # nothing but the identity is
    ('identity', '', '', 406),
    ('deflate', '', '', 406),
    ('gzip', 'gzip', 'gzip', 'gzip'),
    ('GZip', 'gzip', 'gzip', 'gzip'),
    ('br', 'br', '', 406),
    ('zstd', 'zstd', '', 406),
    ('br, gzip', 'br', 'gzip', 'gzip'),
    ('gzip, br', 'br', 'gzip', 'gzip'),
    ('zstd,gzip', 'zstd', 'gzip', 'gzip'),
    ('gzip, deflate, br, zstd', 'br', 'gzip', 'gzip'),  # what browsers send
    ('gzip, deflate', 'gzip', 'gzip', 'gzip'),
    ('*', 'br', 'gzip', 'gzip'),
    ('*;q=0.5, gzip', 'gzip', 'gzip', 'gzip'),
    ('br;q=0.5, gzip;q=0.6', 'gzip', 'gzip', 'gzip'),
    ('br;q=0.5, gzip;q=0.4', 'br', 'gzip', 'gzip'),
    ('br;q=0.001, gzip;q=0', 'br', '', 406),
    ('gzip;q=1.000, br;q=0.999', 'gzip', 'gzip', 'gzip'),
    ('gzip;q=0', '', '', 406),
    ('gzip;q=0.0, br;q=0.000', '', '', 406),
    ('gzip;q=0, *', 'br', '', 406),
    ('*, gzip;q=0', 'br', '', 406),
    ('gzip;q=0.3, *;q=0.5', 'br', '', 'gzip'),
    ('*;q=0, gzip', 'gzip', 'gzip', 'gzip'),
    ('identity, gzip;q=0.5', '', '', 'gzip'),
    ('identity;q=0.5, gzip', 'gzip', 'gzip', 'gzip'),
    ('identity;q=0.5, gzip;q=0.5', 'gzip', 'gzip', 'gzip'),
    ('identity;q=0, gzip', 'gzip', 'gzip', 'gzip'),
    ('identity;q=0, br', 'br', '', 406),  # rather the file than nothing: RFC 9110 leaves it open
    ('identity;q=0, deflate', '', '', 406),
    ('*;q=0', '', '', 406),
    ('*;q=0, identity', '', '', 406),
    ('gzip ; q=0.5\t,\tbr ;q=0.2', 'gzip', 'gzip', 'gzip'),
    (' ,gzip,, ', 'gzip', 'gzip', 'gzip'),
    ('gzip;Q=0', '', '', 406),
    ('xgzip, gzipx, brr', '', '', 406),
)


async def test_precompressed():
    with folder(TREE) as path:
        client = TestClient(app_of_site(path))
        for accepted, *expected in CODINGS:
            for (name, body, kind), coding in zip((('app.js', b'the script', 'text/javascript'),
                                                   ('style.css', b'the style', 'text/css'),
                                                   ('packed.html', b'the page', 'text/html')), expected):
                headers = {} if accepted is None else {'Accept-Encoding': accepted}
                response = await client.get('/static/' + name, headers)
                assert response.headers['Vary'] == 'Accept-Encoding', (accepted, name)
                if coding == 406:
                    assert response.status_code == 406, (accepted, name)
                    continue
                assert response.status_code == 200, (accepted, name)
                assert response.headers.get('Content-Encoding', '') == coding, (accepted, name)
                assert response.body == (body + b', ' + coding.encode() if coding else body)
                assert response.headers['Content-Type'].split(';')[0] == kind
                head = await client.request('HEAD', '/static/' + name, headers)
                assert head.headers['ETag'] == response.headers['ETag']


async def test_malformed_weights():
    with folder(TREE) as path:
        client = TestClient(app_of_site(path))
        for accepted in ('gzip;q=', 'gzip;q=x', 'gzip;q=-1', 'gzip;q=1e9', 'gzip;q=nan', 'gzip;q=inf', 'gzip;q=.',
                         'gzip;q=\xb2', 'gzip;', ';q=1', 'gzip;x=1', 'gzip;q=0.1.1', '=', ';;;', ',' * 500,
                         'gzip;q=' + '9' * 1000, 'gzip;q="1"', 'gzip;q=1;q=0', '\xff', 'gzip br'):
            response = await client.get('/static/style.css', {'Accept-Encoding': accepted})
            assert response.body in (b'the style', b'the style, gzip'), accepted


async def test_a_directory_is_no_precompressed_file():
    with folder(TREE) as path:
        response = await ask(app_of_site(path), {'Accept-Encoding': 'gzip'}, path='/static/odd.txt')
        assert (response.status_code, response.body) == (200, b'odd')


async def test_every_representation_has_its_tag():
    with folder(TREE) as path:
        client = TestClient(app_of_site(path))
        tags = []
        for coding in 'identity', 'gzip', 'br', 'zstd':
            tags.append((await client.get('/static/app.js', {'Accept-Encoding': coding})).headers['ETag'])
        assert len(set(tags)) == 4
        for i in range(4):
            response = await client.get('/static/app.js', {'Accept-Encoding': 'gzip', 'If-None-Match': tags[i]})
            assert response.status_code == (304 if i == 1 else 200)
            assert response.headers['Vary'] == 'Accept-Encoding'


async def test_vary_is_merged():
    with folder(TREE) as path:
        app = app_of_site(path)

        @app.after_request
        async def vary(request, response):
            add_vary(response, 'Cookie')

        assert (await ask(app, path='/static/style.css')).headers['Vary'] == 'Accept-Encoding, Cookie'


if ON_MICROPYTHON:
    async def test_parts_are_read_into_one_buffer():
        with temporary_file('a.txt', DIGITS) as path, changed(Response, send_file_buffer_size=4):
            response = send_file(path)
            pieces = []
            async for piece in response.body_iter():
                pieces.append(bytes(piece))
            assert pieces == [b'0123', b'4567', b'89']
