"""Requests with one part to fill in, and what the modules of wire cases share."""
from support import Reply

#: Limits of ``Request`` while the cases run: small, so that a case at a limit is short.
LIMITS = {
    'max_readline': 120,
    'max_header_size': 400,
    'max_headers': 10,
    'max_content_length': 64,
    'max_body_length': 32,
}

HOST = b'Host: a\r\n'
LAST_CHUNK = b'0\r\n\r\n'
HELLO_CHUNKS = b'5\r\nhello\r\n0\r\n\r\n'
HELLO = Reply(200, b'hello')
NEXT = b'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
#: What a body must not be taken for; it is longer than max_body_length.
EVIL = b'GET /x HTTP/1.1\r\nHost: a\r\nX: smuggling\r\n\r\n'
TOO_LONG = (400, 413, 431)  # the contract bounds extensions and trailers, and leaves the code open
CONTINUE = Reply(100, b'', absent=('Content-Length', 'Transfer-Encoding', 'Connection'))


def line_of(size, start=b'GET /echo/', end=b' HTTP/1.1'):
    """Return a line of a certain size, without the line end."""
    return start + b'a' * (size - len(start) - len(end)) + end


def request(line, lines=b'', body=b''):
    """Return a request with this request line."""
    return line + b'\r\n' + HOST + lines + b'\r\n' + body


def get(path, lines=b''):
    return request(b'GET ' + path + b' HTTP/1.1', lines)


def get10(path, lines=b''):
    return request(b'GET ' + path + b' HTTP/1.0', lines)


def field(line):
    """Return a request with this field line; the answer shows the field ``X``."""
    return get(b'/x', line + b'\r\n')


def host(value):
    """Return a request with this ``Host``; the answer shows it."""
    return b'GET /where HTTP/1.1\r\nHost: ' + value + b'\r\n\r\n'


def post(lines, body=b'', path=b'/body'):
    return request(b'POST ' + path + b' HTTP/1.1', lines, body)


def length(value):
    """Return a request with this ``Content-Length`` and a body of five bytes."""
    return post(b'Content-Length: ' + value + b'\r\n', b'hello')


def coding(value):
    """Return a request with this ``Transfer-Encoding`` and a body in chunks."""
    return post(b'Transfer-Encoding: ' + value + b'\r\n', HELLO_CHUNKS)


def chunks(body, path=b'/body'):
    return post(b'Transfer-Encoding: chunked\r\n', body, path)


def trailer(line):
    return chunks(b'5\r\nhello\r\n0\r\n' + line + b'\r\n\r\n')


def connection(version, option):
    return request(b'GET / HTTP/' + version, b'Connection: ' + option + b'\r\n')


def expecting(value, lines=b'Content-Length: 5\r\n', body=b'hello', path=b'/body', version=b'1.1'):
    return request(b'POST ' + path + b' HTTP/' + version, b'Expect: ' + value + b'\r\n' + lines, body)


def each(group, outcome, make, *items):
    """Return one row for each of ``items``, all with the same outcome."""
    return tuple([('%s %r' % (group, item), make(item), outcome) for item in items])
