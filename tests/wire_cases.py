"""The wire, case by case: what arrives, and what must come out, whichever server it is.

A row is ``(name, request bytes, outcome)``. The rows follow from the contract and from RFC 9110 (semantics) and
RFC 9112 (HTTP/1.1), whose sections are given, not from what the code does. They are for the application of
tests/wire_app.py under ``LIMITS``; tests/test_wire.py runs each of them in many ways.

"""
from support import Reply, closes, either, keeps, overruns, refuses

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


# ---------------------------------------------------------------------------------------------------------------
# Requests with one part to fill in
# ---------------------------------------------------------------------------------------------------------------

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


def connection(version, option):
    return request(b'GET / HTTP/' + version, b'Connection: ' + option + b'\r\n')


def expecting(value, lines=b'Content-Length: 5\r\n', body=b'hello', path=b'/body', version=b'1.1'):
    return request(b'POST ' + path + b' HTTP/' + version, b'Expect: ' + value + b'\r\n' + lines, body)


def each(group, outcome, make, *items):
    """Return one row for each of ``items``, all with the same outcome."""
    return tuple([('%s %r' % (group, item), make(item), outcome) for item in items])


# ---------------------------------------------------------------------------------------------------------------
# The request line (RFC 9112 section 3)
# ---------------------------------------------------------------------------------------------------------------

REQUEST_LINE = (
    ('a request', NEXT, keeps(Reply(200, b'hello', {'Content-Length': '5'}, ('Transfer-Encoding',)))),
    ('a request in HTTP/1.0', get10(b'/'),
     closes(Reply(200, b'hello', {'Content-Length': '5'}, version='1.0'))),
) + each(
    # section 2.3, and RFC 9110 section 6.2: 505 for a major version that is not understood
    'major version', refuses(505), request,
    b'GET / HTTP/2.0', b'GET / HTTP/0.9', b'GET / HTTP/3.0', b'GET / HTTP/9.9', b'PRI * HTTP/2.0',
) + each(
    # section 2.3: HTTP-version is case-sensitive, "HTTP" "/" DIGIT "." DIGIT
    'version', refuses(400), request,
    b'GET / HTTP/1.2', b'GET / http/1.1', b'GET / Http/1.1', b'GET / HTTP/1', b'GET / HTTP/1.',
    b'GET / HTTP/2', b'GET / HTTP/.1', b'GET / HTTP/11', b'GET / HTTP/1.1.1', b'GET / HTTP/1.10',
    b'GET / HTTP/01.1', b'GET / HTTP/02.0', b'GET / HTTP/a.b', b'GET / HTTP/2.x', b'GET / HTTP/-1.1',
    b'GET / HTTP/+1.1', b'GET / HTTP 1.1', b'GET / HTTP/1,1', b'GET / HTP/1.1', b'GET / HTTPS/1.1',
    b'GET / HTTP/\xd9\xa2.0', b'GET / HTTP/2.0x', b'GET / 1.1', b'GET / /1.1', b'GET / HTTP/1.1;x',
) + each(
    'parts', refuses(400), request,
    b'GET / ', b'GET /', b'GET', b'GET HTTP/1.1', b'GET  HTTP/1.1', b'/ HTTP/1.1', b'hello',
    b'GET / x HTTP/1.1', b'GET / HTTP/1.1 x', b'Host: a',
) + each(
    # section 3: exactly one space; to be lenient here is what request smuggling is made of
    'white space', refuses(400), request,
    b'GET  / HTTP/1.1', b'GET /  HTTP/1.1', b' GET / HTTP/1.1', b'GET / HTTP/1.1 ', b'GET\t/ HTTP/1.1',
    b'GET /\tHTTP/1.1', b'GET / HTTP/1.1\t', b'\tGET / HTTP/1.1', b'GET /a b HTTP/1.1', b'GET /a\tb HTTP/1.1',
    b'GET /\x0b HTTP/1.1', b'GET /\x0cHTTP/1.1', b'GET\xc2\xa0/ HTTP/1.1',
) + each(
    # RFC 9110 section 9.1: a method is a token
    'method', refuses(400), request,
    b'G@T / HTTP/1.1', b'GET, / HTTP/1.1', b'GET( / HTTP/1.1', b'G/T / HTTP/1.1', b'"GET" / HTTP/1.1',
    b'G\x00T / HTTP/1.1', b'G\x7fT / HTTP/1.1', b'G\xc3\x8aT / HTTP/1.1', b'G\xcaT / HTTP/1.1',
    b'GET: / HTTP/1.1',
) + each(
    # RFC 9110 section 9.1: methods are case-sensitive; any token is well-formed
    'unknown method', keeps(Reply(405, headers={'Allow': ('GET', 'HEAD', 'OPTIONS')})), request,
    b'get / HTTP/1.1', b'Get / HTTP/1.1', b'M-SEARCH / HTTP/1.1', b"!#$%&'*+-.^_`|~09 / HTTP/1.1",
    b'TRACE / HTTP/1.1',
)

TARGETS = each(
    # section 3.2: printable ASCII without a space; a fragment is never sent (RFC 9110 section 7.1)
    'target', refuses(400), request,
    b'GET /#f HTTP/1.1', b'GET /?a#f HTTP/1.1', b'GET # HTTP/1.1', b'GET /caf\xc3\xa9 HTTP/1.1',
    b'GET /caf\xe9 HTTP/1.1', b'GET /\x00 HTTP/1.1', b'GET /a\x00b HTTP/1.1', b'GET /\x01 HTTP/1.1',
    b'GET /\x1f HTTP/1.1', b'GET /\x7f HTTP/1.1', b'GET /\x80 HTTP/1.1', b'GET /?\xc3\xa9 HTTP/1.1',
    b'GET /\xef\xbb\xbf HTTP/1.1',
) + each(
    'form of the target', refuses(400), request,
    b'GET x HTTP/1.1', b'GET x/y HTTP/1.1', b'GET ?a HTTP/1.1', b'GET a:80 HTTP/1.1', b'GET . HTTP/1.1',
    b'CONNECT a:443 HTTP/1.1', b'CONNECT a HTTP/1.1',
) + each(
    'asterisk form', refuses(400), request,  # section 3.2.4: only with OPTIONS
    b'GET * HTTP/1.1', b'POST * HTTP/1.1', b'options * HTTP/1.1', b'OPTIONS ** HTTP/1.1',
    b'OPTIONS *a HTTP/1.1', b'OPTIONS *?a HTTP/1.1',
) + each(
    'absolute form', refuses(400), request,  # section 3.2.2, and RFC 9110 sections 4.2.1 and 4.2.4
    b'GET http:// HTTP/1.1', b'GET http:///x HTTP/1.1', b'GET http://?a HTTP/1.1', b'GET http: HTTP/1.1',
    b'GET http:/x HTTP/1.1', b'GET http HTTP/1.1', b'GET ftp://b/ HTTP/1.1', b'GET httpx://b/ HTTP/1.1',
    b'GET ://b/ HTTP/1.1', b'GET http://u@b/ HTTP/1.1', b'GET http://u:p@b/ HTTP/1.1',
    b'GET http://b:x/ HTTP/1.1', b'GET http://b:80:80/ HTTP/1.1', b'GET http://[::1/ HTTP/1.1',
    b'GET http://b/#f HTTP/1.1', b'GET http://b\\c/ HTTP/1.1', b'GET http://b#f HTTP/1.1',
    b'GET http://b|c/ HTTP/1.1',
) + (
    ('query', get(b'/echo/a?b=c&d'), keeps(Reply(200, b'GET /echo/a b=c&d'))),
    ('empty query', get(b'/echo/a?'), keeps(Reply(200, b'GET /echo/a '))),
    ('no query', get(b'/echo/a'), keeps(Reply(200, b'GET /echo/a None'))),
    ('question marks', get(b'/echo/a?b?c'), keeps(Reply(200, b'GET /echo/a b?c'))),
    ('percent-encoding', get(b'/echo/caf%C3%A9%20%23'), keeps(Reply(200, b'GET /echo/caf\xc3\xa9 # None'))),
    ('dots and slashes stay', get(b'/echo/a/../b//c/.'), keeps(Reply(200, b'GET /echo/a/../b//c/. None'))),
    ('two slashes', get(b'//b/x'), keeps(Reply(404, b'Not found'))),  # an empty segment, not an authority
    ('colon and at sign', get(b'/echo/http://u@b'), keeps(Reply(200, b'GET /echo/http://u@b None'))),
    ('unknown path', get(b'/unknown'), keeps(Reply(404, b'Not found'))),
    # section 3.2.2: the authority of the target replaces Host
    ('absolute form', get(b'http://b/where?c=d'), keeps(Reply(200, b'b /where c=d'))),
    ('absolute form with a port', get(b'http://b:8080/where'), keeps(Reply(200, b'b:8080 /where None'))),
    ('absolute form, IPv6', get(b'http://[::1]:80/where'), keeps(Reply(200, b'[::1]:80 /where None'))),
    ('absolute form, https', get(b'https://b/where'), keeps(Reply(200, b'b /where None'))),
    ('absolute form, upper case scheme', get(b'HTTP://b/where'), keeps(Reply(200, b'b /where None'))),
    ('absolute form without a path', get(b'http://b'), keeps(HELLO)),  # RFC 9110 section 4.2.3
    ('absolute form with only a query', get(b'http://b?c'), keeps(HELLO)),
    ('absolute form with a target in the query', get(b'http://b/where?http://c/'),
     keeps(Reply(200, b'b /where http://c/'))),
    ('absolute form in HTTP/1.0 without Host', b'GET http://b/where HTTP/1.0\r\n\r\n',
     closes(Reply(200, b'b /where None', version='1.0'))),
    ('absolute form without Host', b'GET http://b/ HTTP/1.1\r\n\r\n', refuses(400)),  # section 3.2
    ('absolute form with an invalid Host', b'GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n', refuses(400)),
    ('absolute form with two Host', get(b'http://b/', HOST), refuses(400)),
)

# ---------------------------------------------------------------------------------------------------------------
# Line ends (RFC 9112 section 2.2)
# ---------------------------------------------------------------------------------------------------------------

LINES = (
    ('an empty line first', b'\r\n' + NEXT, keeps(HELLO)),
    ('three empty lines first', b'\r\n\r\n\r\n' + NEXT, keeps(HELLO)),
    ('an empty line between requests', NEXT + b'\r\n' + NEXT, keeps(HELLO, HELLO)),
    ('an empty line after a body', length(b'5') + b'\r\n' + NEXT, keeps(HELLO, HELLO)),
    ('a bare LF first', b'\n' + NEXT, refuses(400)),
    ('a bare CR first', b'\r' + NEXT, refuses(400)),
    ('two CR and a LF first', b'\r\r\n' + NEXT, refuses(400)),
    ('an empty line and a space first', b'\r\n ' + NEXT, refuses(400)),
    ('NUL first', b'\x00' + NEXT, refuses(400)),
    ('UTF-8 byte order mark first', b'\xef\xbb\xbf' + NEXT, refuses(400)),
    ('bare LF after the request line', b'GET / HTTP/1.1\nHost: a\r\n\r\n', refuses(400)),
    ('bare LF after a field', b'GET / HTTP/1.1\r\nHost: a\n\r\n', refuses(400)),
    ('bare LF between fields', b'GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n', refuses(400)),
    ('bare LF as the empty line', b'GET / HTTP/1.1\r\nHost: a\r\n\n', refuses(400)),
    ('bare LF everywhere', b'GET / HTTP/1.1\nHost: a\n\n', refuses(400)),
    ('bare LF before a body', b'POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\nhello',
     refuses(400)),
    ('bare LF in HTTP/1.0', b'GET /x HTTP/1.0\nX: y\n\n', closes(Reply(200, b'[y]', version='1.0'))),
    ('bare LF and CRLF in HTTP/1.0', b'GET /x HTTP/1.0\r\nX: y\n\r\n',
     closes(Reply(200, b'[y]', version='1.0'))),
    ('bare LF as the empty line in HTTP/1.0', b'GET /x HTTP/1.0\r\nX: y\r\n\n',
     closes(Reply(200, b'[y]', version='1.0'))),
    ('bare LF without fields in HTTP/1.0', b'GET / HTTP/1.0\n\n',
     closes(Reply(200, b'hello', version='1.0'))),
    ('bare LF before a body in HTTP/1.0', b'POST /body HTTP/1.0\nContent-Length: 5\n\n\r\nabc',
     closes(Reply(200, b'\r\nabc', version='1.0'))),
    ('bare CR as line end', b'GET / HTTP/1.1\rHost: a\r\r\r\n\r\n', refuses(400)),
    ('bare CR after the request line', b'GET / HTTP/1.1\rX: y\r\nHost: a\r\n\r\n', refuses(400)),
    ('bare CR in the target', get(b'/\r'), refuses(400)),
    ('two CR after the request line', b'GET / HTTP/1.1\r\r\nHost: a\r\n\r\n', refuses(400)),
    ('two CR after a field', b'GET / HTTP/1.1\r\nHost: a\r\r\n\r\n', refuses(400)),
    ('two CR in the empty line', b'GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n', refuses(400)),
    ('bare CR in HTTP/1.0', b'GET / HTTP/1.0\r\nX: a\rb\r\n\r\n', refuses(400)),
    ('bare CR before a bare LF in HTTP/1.0', b'GET / HTTP/1.0\r\r\nX: b\n\n', refuses(400)),
)

# ---------------------------------------------------------------------------------------------------------------
# Fields (RFC 9112 section 5, RFC 9110 section 5)
# ---------------------------------------------------------------------------------------------------------------

FIELDS = each(
    'field name', refuses(400), field,  # section 5.1: a token, with the colon right behind it
    b'X : y', b'X\t: y', b'X Y: y', b': y', b':', b' : y', b'X', b'X y', b'X\x00: y', b'X\x01: y',
    b'X\x7f: y', b'X(: y', b'X): y', b'X,Y: y', b'X/: y', b'X;: y', b'X<: y', b'X=: y', b'X>: y', b'X?: y',
    b'X@: y', b'X[: y', b'X\\: y', b'X]: y', b'X{: y', b'X}: y', b'"X": y', b'\xc3\xa9: y', b'\xe9: y',
    b'X\r: y', b'X\xc2\xa0: y',
) + each(
    'field value', refuses(400), field,  # RFC 9110 section 5.5
    b'X: \x00', b'X: a\x00b', b'X: a\rb', b'X: \r', b'X: y\r', b'X: \x01', b'X: a\x08b', b'X: \x0b',
    b'X: \x0cy', b'X: a\x1bb', b'X: \x1f', b'X: \x7f', b'X: a\nb',
) + each(
    'folded line', refuses(400), field,  # section 5.2
    b'X: a\r\n b', b'X: a\r\n\tb', b'X: a\r\n  b', b'X:\r\n b', b'X: a\r\n ', b'X: a\r\n b: c',
) + (
    # section 2.2: white space between the request line and the first field
    ('folded request line', b'GET / HTTP/1.1\r\n Host: a\r\n\r\n', refuses(400)),
    ('folded request line, then a field', b'GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n', refuses(400)),
    ('folded line in HTTP/1.0', get10(b'/x', b'X: a\r\n b\r\n'), refuses(400)),
    ('folded line after a bare LF in HTTP/1.0', b'GET / HTTP/1.0\nX: a\n b\n\n', refuses(400)),
    ('folded Transfer-Encoding', post(b'Transfer-Encoding:\r\n chunked\r\n', HELLO_CHUNKS), refuses(400)),
) + each(
    'field with white space', keeps(Reply(200, b'[y]')), field,  # section 5.1: it is not part of the value
    b'X:y', b'X: y', b'X:  y', b'X:\ty', b'X: y ', b'X: y\t', b'X:\t y \t ', b'x: y',
) + (
    ('empty value', field(b'X:'), keeps(Reply(200, b'[]'))),
    ('value of white space', field(b'X: \t '), keeps(Reply(200, b'[]'))),
    ('white space in a value', field(b'X: a \t b'), keeps(Reply(200, b'[a \t b]'))),
    ('colons in a value', field(b'X: :a: b'), keeps(Reply(200, b'[:a: b]'))),
    ('printable characters in a value', field(b'X: !"#$%&\'()*+,-./;<=>?@[\\]^_`{|}~'),
     keeps(Reply(200, b'[!"#$%&\'()*+,-./;<=>?@[\\]^_`{|}~]'))),
    ('UTF-8 in a value', field(b'X: caf\xc3\xa9'), keeps(Reply(200, b'[caf\xc3\xa9]'))),
    ('obs-text in a value', field(b'X: caf\xe9'), keeps(Reply(200))),
    ('every character of a token in a name', field(b"!#$%&'*+-.^_`|~09aZ: y"), keeps(Reply(200, b'[none]'))),
    ('repeated field', field(b'X: a\r\nY: z\r\nx: b'), keeps(Reply(200, b'[a, b]'))),  # RFC 9110 section 5.3
    ('repeated cookies', get(b'/cookies', b'Cookie: a=1\r\nCookie: b=2\r\n'), keeps(Reply(200, b'1 2'))),
)

HOSTS = each(
    'Host', refuses(400), host,  # RFC 9112 section 3.2, RFC 3986 section 3.2.2
    b'a b', b'a, b', b'a/b', b'a/', b'u@a', b'a#b', b'a?b', b'a\\b', b'http://a', b'a:b', b'a:80:80', b'a:-1',
    b'a:+80', b'a:80 81', b'::1', b'[::1', b'::1]', b'[::1]a', b'[::1]:x', b'[a b]', b'[]', b'a"b', b'a<b>',
    b'a|b', b'a^b', b'\xc3\xa9', b'a\x00', b'a{}', b'a%zz', b'a:\xd9\xa1',
) + (
    ('name and port', host(b'example.com:8080'), keeps(Reply(200, b'example.com:8080 /where None'))),
    ('IPv4 and port', host(b'192.0.2.1:80'), keeps(Reply(200, b'192.0.2.1:80 /where None'))),
    ('IPv6', host(b'[2001:db8::1]'), keeps(Reply(200, b'[2001:db8::1] /where None'))),
    ('IPv6 and port', host(b'[::ffff:192.0.2.1]:80'),
     keeps(Reply(200, b'[::ffff:192.0.2.1]:80 /where None'))),
    ('upper case and other characters', host(b"A-b_c.~!$&'()*+;="),
     keeps(Reply(200, b"A-b_c.~!$&'()*+;= /where None"))),
    ('empty port', host(b'a:'), keeps(Reply(200, b'a: /where None'))),
    ('empty Host', host(b''),
     keeps(Reply(200, b' /where None'))),  # section 3.2: a target without an authority
    ('no Host', b'GET / HTTP/1.1\r\n\r\n', refuses(400)),
    ('no Host, another field', b'GET / HTTP/1.1\r\nX: y\r\n\r\n', refuses(400)),
    ('no Host in HTTP/1.0', b'GET / HTTP/1.0\r\n\r\n', closes(Reply(200, b'hello', version='1.0'))),
    ('two Host', get(b'/', b'Host: b\r\n'), refuses(400)),
    ('Host twice the same', get(b'/', HOST), refuses(400)),
    ('Host twice, in two spellings', get(b'/', b'hOST: a\r\n'), refuses(400)),
    ('an empty and another Host', b'GET / HTTP/1.1\r\nHost:\r\nHost: a\r\n\r\n', refuses(400)),
    ('two Host in HTTP/1.0', get10(b'/', b'Host: b\r\n'), refuses(400)),  # section 3.2: in any request
    ('invalid Host in HTTP/1.0', b'GET / HTTP/1.0\r\nHost: a b\r\n\r\n', refuses(400)),
    ('lower case name', b'GET /where HTTP/1.1\r\nhost: b\r\n\r\n', keeps(Reply(200, b'b /where None'))),
)

# ---------------------------------------------------------------------------------------------------------------
# Limits (RFC 9112 section 3, RFC 6585 section 5)
# ---------------------------------------------------------------------------------------------------------------


def line_of(size, start=b'GET /echo/', end=b' HTTP/1.1'):
    """Return a line of a certain size, without the line end."""
    return start + b'a' * (size - len(start) - len(end)) + end


def field_of(size):
    return line_of(size, b'X: ', b'')


LONGEST = LIMITS['max_readline']
ECHOED = Reply(200, b'GET /echo/' + b'a' * (LONGEST - 19) + b' None')

SIZES = (
    ('longest request line', request(line_of(LONGEST)), keeps(ECHOED)),
    ('request line too long', request(line_of(LONGEST + 1)), refuses(414)),
    ('request line too long, without an end', line_of(2 * LONGEST, end=b''), refuses(414)),
    ('request line too long in HTTP/1.0', request(line_of(2 * LONGEST, end=b' HTTP/1.0')), refuses(414)),
    ('request line longer than the header may be', request(line_of(500)), refuses(414)),
    ('query too long', request(line_of(2 * LONGEST, b'GET /echo/?')), refuses(414)),
    ('longest field', get(b'/x', field_of(LONGEST) + b'\r\n'),
     keeps(Reply(200, b'[' + b'a' * (LONGEST - 3) + b']'))),
    ('field too long', get(b'/x', field_of(LONGEST + 1) + b'\r\n'), refuses(431)),
    ('field too long in bytes', get(b'/x', b'X: ' + b'\xc3\xa9' * 60 + b'\r\n'), refuses(431)),
    ('longest field of obs-text', get(b'/x', b'X: ' + b'\xe9' * (LONGEST - 3) + b'\r\n'), keeps(Reply(200))),
    ('longest field of UTF-8', get(b'/x', b'X:' + b'\xc3\xa9' * 59 + b'\r\n'),
     keeps(Reply(200, b'[' + b'\xc3\xa9' * 59 + b']'))),
    ('field name too long', field(b'X' * (LONGEST + 1) + b': y'), refuses(431)),
    ('field too long in HTTP/1.0', get10(b'/x', field_of(LONGEST + 1) + b'\r\n'), refuses(431)),
    ('most fields', get(b'/x', b'A: 1\r\n' * 8 + b'X: y\r\n'), keeps(Reply(200, b'[y]'))),
    ('too many fields', get(b'/x', b'A: 1\r\n' * 9 + b'X: y\r\n'), refuses(431)),
    ('far too many fields', get(b'/x', b'A: 1\r\n' * 50), refuses(431)),
    ('large header',
     get(b'/x', b'X: ' + b'a' * 100 + b'\r\nY: ' + b'a' * 100 + b'\r\nZ: ' + b'a' * 100 + b'\r\n'),
     keeps(Reply(200, b'[' + b'a' * 100 + b']'))),
    ('header too large', get(b'/x', (field_of(100) + b'\r\n') * 4), refuses(431)),
    ('header too large, without an end', get(b'/x', (field_of(100) + b'\r\n') * 5)[:-2], refuses(431)),
    ('field too long, without an end', get(b'/x')[:-2] + field_of(500), refuses(431)),
    ('header too large in HTTP/1.0', get10(b'/x', (field_of(100) + b'\n') * 4), refuses(431)),
    ('two large requests', 2 * get(b'/x', (field_of(90) + b'\r\n') * 3), keeps(*[Reply(200)] * 2)),
)

# ---------------------------------------------------------------------------------------------------------------
# Framing of the body (RFC 9112 section 6)
# ---------------------------------------------------------------------------------------------------------------

LENGTHS = each(
    'Content-Length', refuses(400), length,  # RFC 9110 section 8.6: 1*DIGIT
    b'+5', b'-1', b'-0', b'0x5', b'0b1', b'1_0', b'5 5', b'5.0', b'1e1', b'5;', b'five', b'a', b'', b' ',
    b',', b'5,', b',5', b'5,6', b'5, 6', b'5, +5', b'5,,5', b'5;5', b'"5"', b'\xd9\xa5', b'\xef\xbc\x95',
    b'\xb2', b'5\x00', b'5\x0b', b'5\r', b'0\x0c', b'5L', b'inf',
) + each(
    'Content-Length', keeps(HELLO), length,
    b'5', b' 5', b'5 ', b'\t5', b'05', b'0005', b'5,5', b'5, 5', b'5 , 5 ,5',
) + (
    ('repeated Content-Length', post(b'Content-Length: 5\r\ncontent-length: 5\r\n', b'hello'), keeps(HELLO)),
    ('different Content-Length', post(b'Content-Length: 5\r\nContent-Length: 6\r\n', b'hello'), refuses(400)),
    ('different Content-Length, 0 first', post(b'Content-Length: 0\r\nContent-Length: 5\r\n', b'hello'),
     refuses(400)),
    ('empty and other Content-Length', post(b'Content-Length:\r\nContent-Length: 5\r\n', b'hello'),
     refuses(400)),
    ('invalid Content-Length in HTTP/1.0',
     request(b'POST /body HTTP/1.0', b'Content-Length: +5\r\n', b'hello'),
     refuses(400)),
    ('Content-Length of 30 digits', length(b'9' * 30), refuses(413)),
    ('Content-Length of 100 digits', length(b'1' + b'0' * 99), refuses(413)),
    ('Content-Length just over the limit', length(b'65'), refuses(413)),
    ('Content-Length just over the limit, with the body', post(b'Content-Length: 65\r\n', b'a' * 65),
     refuses(413)),
    ('Content-Length over the limit in HTTP/1.0',
     request(b'POST /body HTTP/1.0', b'Content-Length: 65\r\n', b'a' * 65), refuses(413)),
    ('Content-Length over the limit for an unknown path',
     post(b'Content-Length: 65\r\n', b'a' * 65, b'/unknown'), closes(Reply((404, 413)))),
    ('Content-Length at the limit', post(b'Content-Length: 64\r\n', b'a' * 64, b'/stream'),
     keeps(Reply(200, b'a' * 64))),
    ('Content-Length 0', post(b'Content-Length: 0\r\n'), keeps(Reply(200, b''))),
    ('no body', post(b''), keeps(Reply(200, b'', {'Content-Length': '0'}))),  # section 6.3, rule 7
    ('body of any bytes', post(b'Content-Length: 6\r\n', b'\x00\r\n\n\xff\x80'),
     keeps(Reply(200, b'\x00\r\n\n\xff\x80'))),
    ('body of GET', get(b'/body', b'Content-Length: 5\r\n') + b'hello', keeps(HELLO)),
    ('body of DELETE', request(b'DELETE /body HTTP/1.1', b'Content-Length: 5\r\n', b'hello'), keeps(HELLO)),
    ('body of QUERY', request(b'QUERY /body HTTP/1.1', b'Content-Length: 5\r\n', b'hello'), keeps(HELLO)),
    ('body in HTTP/1.0', request(b'POST /body HTTP/1.0', b'Content-Length: 5\r\n', b'hello'),
     closes(Reply(200, b'hello', version='1.0'))),
    ('body that looks like a request', post(b'Content-Length: 27\r\n', NEXT), keeps(Reply(200, NEXT))),
    ('underscore in the name', post(b'Content_Length: 5\r\n'), keeps(Reply(200, b''))),
)

CODINGS = each(
    'Transfer-Encoding', keeps(HELLO), coding,  # section 7: names of codings are case-insensitive
    b'chunked', b'Chunked', b'CHUNKED', b' chunked ', b'\tchunked',
) + each(
    'Transfer-Encoding', refuses(501), coding,  # section 6.1
    b'gzip', b'gzip, chunked', b'identity', b'deflate', b'xchunked', b'chunked1', b'chunke', b'gzip,chunked',
    b'identity, chunked', b'gzip, deflate, chunked',
) + each(
    # sections 6.1 and 6.3: chunked once and last; section 7: a list of tokens, none empty (RFC 9110 section 5.6.1)
    'Transfer-Encoding', refuses(400), coding,
    b'chunked, chunked', b'chunked,chunked', b'chunked, gzip', b'chunked, identity', b'', b',', b'chunked,',
    b',chunked', b'chunked chunked', b'"chunked"', b'gzip chunked', b'chunked\x00', b'\x0bchunked',
    b'chunked\xa0', b'{chunked}', b'chunked;', b'chunked;q=1', b'ch\rnked',
) + (
    ('chunked in two fields', post(2 * b'Transfer-Encoding: chunked\r\n', HELLO_CHUNKS), refuses(400)),
    ('gzip and chunked in two fields',
     post(b'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', HELLO_CHUNKS), refuses(501)),
    ('chunked and gzip in two fields',
     post(b'Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n', HELLO_CHUNKS), refuses(400)),
    ('empty and chunked in two fields',
     post(b'Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n', HELLO_CHUNKS), refuses(400)),
    # section 6.1: together they are the sign of request smuggling
    ('chunked and Content-Length',
     post(b'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', HELLO_CHUNKS), refuses(400)),
    ('Content-Length and chunked',
     post(b'Content-Length: 15\r\nTransfer-Encoding: chunked\r\n', HELLO_CHUNKS), refuses(400)),
    ('chunked and Content-Length 0',
     post(b'Transfer-Encoding: chunked\r\nContent-Length: 0\r\n', HELLO_CHUNKS), refuses(400)),
    ('chunked and an empty Content-Length',
     post(b'Transfer-Encoding: chunked\r\nContent-Length:\r\n', HELLO_CHUNKS), refuses(400)),
    ('gzip and Content-Length', post(b'Transfer-Encoding: gzip\r\nContent-Length: 5\r\n', b'hello'),
     refuses(400)),
    ('empty Transfer-Encoding and Content-Length',
     post(b'Transfer-Encoding:\r\nContent-Length: 5\r\n', b'hello'), refuses(400)),
    ('chunked and Content-Length of GET',
     get(b'/', b'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n') + LAST_CHUNK, refuses(400)),
    ('chunked in HTTP/1.0', request(b'POST /body HTTP/1.0', b'Transfer-Encoding: chunked\r\n', HELLO_CHUNKS),
     refuses(400)),
    ('gzip in HTTP/1.0', request(b'POST /body HTTP/1.0', b'Transfer-Encoding: gzip\r\n', b'hello'),
     refuses(400)),
    ('chunked and Content-Length in HTTP/1.0',
     request(b'POST /body HTTP/1.0', b'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', HELLO_CHUNKS),
     refuses(400)),
    ('space after Transfer-Encoding', post(b'Transfer-Encoding : chunked\r\n', HELLO_CHUNKS), refuses(400)),
    ('Transfer-Encoding with an underscore', get(b'/x', b'Transfer_Encoding: chunked\r\n'),
     keeps(Reply(200, b'[none]'))),
    ('TE is not Transfer-Encoding', get(b'/x', b'TE: chunked\r\n'), keeps(Reply(200, b'[none]'))),
    ('chunked GET', get(b'/body', b'Transfer-Encoding: chunked\r\n') + HELLO_CHUNKS, keeps(HELLO)),
)

# ---------------------------------------------------------------------------------------------------------------
# Chunked bodies (RFC 9112 section 7.1)
# ---------------------------------------------------------------------------------------------------------------


def size(text):
    """Return a request with a chunk of five bytes that has this size line."""
    return chunks(text + b'\r\nhello\r\n' + LAST_CHUNK)


def trailer(line):
    return chunks(b'5\r\nhello\r\n0\r\n' + line + b'\r\n\r\n')


CHUNKS = each(
    'chunk size', keeps(HELLO), size,
    b'5', b'05', b'0005', b'5;a', b'5;a=b', b'5;a="b;c"', b'5;a=b;c', b'5; a=b', b'5;a="\xe9"',
) + each(
    'chunk size', refuses(400), size,
    b'0x5', b'0X5', b'+5', b'-5', b'-0', b'5_0', b'0_5', b'', b' ', b' 5', b'5 ', b'\t5', b'5\t', b'5 5',
    b'5.', b'G', b'5h', b'5,5', b';a', b';', b'five', b'\xd9\xa5', b'\xef\xbc\x95', b'5\x00', b'5;a\x00',
    b'5\r', b'5;a\rb', b'5;\x0b', b'5:', b'"5"', b'x', b'\\x5',
) + each(
    'chunk size', refuses(*TOO_LONG), size,  # bounded: no number may overflow, here or in a proxy
    b'FFFFFFFFFFFFFFFF', b'10000000000000005', b'F' * 40, b'0' * 100 + b'5', b'5;' + b'a' * 200,
) + each(
    'trailer', keeps(HELLO), trailer,  # section 7.1.2: discarded
    b'A: b', b'A:', b'A: b\r\nC: d', b'Content-Length: 9', b'Transfer-Encoding: gzip', b'Host: b', b'A: \xe9',
) + each(
    'trailer', refuses(400), trailer,
    b'A', b'A : b', b' A: b', b': b', b'A: b\r\n c', b'A: b\r', b'A: \x00', b'A: \x7f', b'A: b\nC: d',
    b'A(: b',
) + each(
    'trailer', refuses(*TOO_LONG), trailer,
    b'A: ' + b'b' * 200, b'\r\n'.join([b'A: ' + b'b' * 90] * 6), b'\r\n'.join([b'A: b'] * 120),
) + each(
    'chunks', refuses(400), chunks,
    b'5\r\nhello0\r\n\r\n', b'5\r\nhelloX\r\n0\r\n\r\n', b'5\r\nhel\r\n0\r\n\r\n', b'3\r\nhello\r\n0\r\n\r\n',
    b'5\r\nhello\r\n\r\n0\r\n\r\n', b'\r\n5\r\nhello\r\n0\r\n\r\n', b'5\r\n\r\nhello\r\n0\r\n\r\n',
    b'hello\r\n0\r\n\r\n',
    # section 2.2 lets a bare LF end a line of the header, not one of a chunk
    b'5\nhello\r\n0\r\n\r\n', b'5\r\nhello\n0\r\n\r\n', b'5\r\nhello\r\n0\n\r\n', b'5\r\nhello\r\n0\r\n\n',
    b'5\r\nhello\r\n0\nA: b\r\n\r\n', b'5;a\nhello\r\n0\r\n\r\n', b'5\rhello\r\n0\r\n\r\n',
    b'5\r\nhello\r0\r\n\r\n', b'\n0\r\n\r\n', b'5\r\nhello\r\r\n0\r\n\r\n', b'5\r\r\nhello\r\n0\r\n\r\n',
    b'5\r\nhello\r\n0\r\r\n\r\n',
) + (
    ('empty chunked body', chunks(LAST_CHUNK), keeps(Reply(200, b''))),
    ('last chunk of zeros', chunks(b'5\r\nhello\r\n0000\r\n\r\n'), keeps(HELLO)),
    ('last chunk with an extension', chunks(b'5\r\nhello\r\n0;a=b\r\n\r\n'), keeps(HELLO)),
    ('many chunks', chunks(b'1\r\nh\r\n2\r\nel\r\n1\r\nl\r\n01;a\r\no\r\n0\r\n\r\n'), keeps(HELLO)),
    ('upper and lower case size',
     chunks(b'A\r\n0123456789\r\na\r\nabcdefghij\r\nB\r\n-_-_-_-_-_-\r\n' + LAST_CHUNK),
     keeps(Reply(200, b'0123456789abcdefghij-_-_-_-_-_-'))),
    ('hexadecimal size', chunks(b'1f\r\n' + b'a' * 31 + b'\r\n' + LAST_CHUNK), keeps(Reply(200, b'a' * 31))),
    ('chunk of any bytes', chunks(b'6\r\n\x00\r\n\n\xff0\r\n' + LAST_CHUNK),
     keeps(Reply(200, b'\x00\r\n\n\xff0'))),
    ('trailers are no headers',
     post(b'Transfer-Encoding: chunked\r\nX: a\r\n', b'0\r\nX: b\r\n\r\n', b'/echo/a') + NEXT,
     keeps(Reply(200, b'POST /echo/a None'), HELLO)),
    ('a trailer is no header', get(b'/x', b'Transfer-Encoding: chunked\r\n') + b'0\r\nX: b\r\n\r\n',
     keeps(Reply(200, b'[none]'))),
    ('extensions too long in sum', chunks((b'1;' + b'a' * 90 + b'\r\na\r\n') * 6 + LAST_CHUNK),
     refuses(*TOO_LONG)),
    # RFC 9110 section 15.5.14; the 413 may come when the handler has begun to read
    ('chunked body at the limit', chunks(b'40\r\n' + b'a' * 64 + b'\r\n' + LAST_CHUNK, b'/stream'),
     keeps(Reply(200, b'a' * 64))),
    ('chunked body over the limit', chunks(b'41\r\n' + b'a' * 65 + b'\r\n' + LAST_CHUNK, b'/stream'),
     closes(Reply(413, b'Payload too large'))),
    ('chunked body over the limit in many chunks', chunks(b'8\r\naaaaaaaa\r\n' * 9 + LAST_CHUNK, b'/stream'),
     closes(Reply(413, b'Payload too large'))),
    ('large chunk that is cut off by the limit', chunks(b'FFFFFF\r\n' + b'a' * 65, b'/stream'),
     closes(Reply(413, b'Payload too large'))),
    ('malformed chunk after the handler began', chunks(b'28\r\n' + b'a' * 40 + b'\r\nx\r\n', b'/stream'),
     closes(Reply(400, b'Bad request'))),
)

# ---------------------------------------------------------------------------------------------------------------
# Expect (RFC 9110 section 10.1.1)
# ---------------------------------------------------------------------------------------------------------------

CONTINUE = Reply(100, b'', absent=('Content-Length', 'Transfer-Encoding', 'Connection'))

EXPECT = (
    ('100-continue', expecting(b'100-continue'), keeps(CONTINUE, HELLO)),
    ('100-Continue', expecting(b'100-Continue'), keeps(CONTINUE, HELLO)),
    ('100-continue, chunked', expecting(b'100-continue', b'Transfer-Encoding: chunked\r\n', HELLO_CHUNKS),
     keeps(CONTINUE, HELLO)),
    ('100-continue twice', 2 * expecting(b'100-continue'), keeps(CONTINUE, HELLO, CONTINUE, HELLO)),
    ('100-continue for a large body',
     expecting(b'100-continue', b'Content-Length: 40\r\n', b'a' * 40, b'/stream'),
     keeps(CONTINUE, Reply(200, b'a' * 40))),
    ('100-continue without a body', get(b'/', b'Expect: 100-continue\r\n'), keeps(HELLO)),
    ('100-continue with an empty body', expecting(b'100-continue', b'Content-Length: 0\r\n', b''),
     keeps(Reply(200, b''))),
    ('100-continue in HTTP/1.0', expecting(b'100-continue', version=b'1.0'),
     closes(Reply(200, b'hello', version='1.0'))),
    ('another expectation in HTTP/1.0', expecting(b'other', version=b'1.0'),
     closes(Reply(200, b'hello', version='1.0'))),
    ('100-continue, body too large', expecting(b'100-continue', b'Content-Length: 65\r\n', b''),
     refuses(413)),
    ('100-continue, body too large but sent',
     expecting(b'100-continue', b'Content-Length: 65\r\n', b'a' * 65),
     refuses(413)),
    ('100-continue, unknown coding', expecting(b'100-continue', b'Transfer-Encoding: gzip\r\n', b''),
     refuses(501)),
    ('100-continue, invalid length', expecting(b'100-continue', b'Content-Length: +5\r\n', b''),
     refuses(400)),
    ('100-continue, malformed chunk', expecting(b'100-continue', b'Transfer-Encoding: chunked\r\n', b'x\r\n'),
     closes(CONTINUE, Reply(400, b'Bad request'))),
    # the body is not read, so there is no 100, and the client may not send it
    ('100-continue, body not read', expecting(b'100-continue', b'Content-Length: 40\r\n', b'', b'/ignore'),
     closes(Reply(200, b'ignored'))),
    ('another expectation', expecting(b'other', b'', b''), either(Reply(417, b'Expectation failed'))),
    ('another expectation, with a body', expecting(b'other'), either(Reply(417))),
    ('100-continue and another', expecting(b'100-continue, other', b'', b''), either(Reply(417))),
    ('almost 100-continue', expecting(b'100 continue', b'', b''), either(Reply(417))),
)

# ---------------------------------------------------------------------------------------------------------------
# Connections (RFC 9112 section 9)
# ---------------------------------------------------------------------------------------------------------------

HELLO10 = Reply(200, b'hello', version='1.0')
KEPT10 = Reply(200, b'hello', {'Connection': 'keep-alive'}, version='1.0')
CLOSED = Reply(200, b'hello', {'Connection': 'close'})
IGNORED = Reply(200, b'ignored')

CONNECTIONS = each(
    'HTTP/1.1, Connection', keeps(HELLO), lambda option: connection(b'1.1', option),  # section 9.3
    b'', b'keep-alive', b'Keep-Alive', b'other', b'upgrade', b'closed', b'not-close', b'TE, keep-alive',
) + each(
    'HTTP/1.1, Connection', closes(CLOSED), lambda option: connection(b'1.1', option),
    b'close', b'Close', b'CLOSE', b' close ', b'close, keep-alive', b'keep-alive, close', b'TE,close',
    b',close,', b'other ,\tclose',
) + each(
    'HTTP/1.0, Connection', closes(HELLO10), lambda option: connection(b'1.0', option),
    b'', b'close', b'other', b'close, keep-alive', b'keep-alive, close',
) + each(
    'HTTP/1.0, Connection', keeps(KEPT10), lambda option: connection(b'1.0', option),
    b'keep-alive', b'Keep-Alive', b'other, keep-alive', b' keep-alive ',
) + (
    ('close in the second of two Connection', get(b'/', b'Connection: TE\r\nConnection: close\r\n'),
     closes(CLOSED)),
    ('close, and more that is not answered', connection(b'1.1', b'close') + NEXT, overruns(CLOSED)),
    ('HTTP/1.0, and more that is not answered', get10(b'/') + NEXT, overruns(HELLO10)),
    ('the handler closes', get(b'/close'), closes(Reply(200, b'bye', {'Connection': 'close'}))),
    ('the handler closes HTTP/1.0', get10(b'/close', b'Connection: keep-alive\r\n'),
     closes(Reply(200, b'bye', {'Connection': 'close'}, version='1.0'))),
    ('two requests', 2 * NEXT, keeps(HELLO, HELLO)),
    ('five requests', 5 * NEXT, keeps(*[HELLO] * 5)),
    ('answers in order',
     get(b'/echo/1') + get(b'/unknown') + length(b'5') + get(b'/generator') + get(b'/echo/2'),
     keeps(Reply(200, b'GET /echo/1 None'), Reply(404), HELLO, Reply(200, b'onetwo'),
           Reply(200, b'GET /echo/2 None'))),
    ('two bodies', 2 * length(b'5'), keeps(HELLO, HELLO)),
    ('two chunked bodies', 2 * chunks(HELLO_CHUNKS), keeps(HELLO, HELLO)),
    ('chunked, then a request', trailer(b'A: b') + NEXT, keeps(HELLO, HELLO)),
    ('HEAD, then a request', request(b'HEAD / HTTP/1.1') + NEXT,
     keeps(Reply(200, b'', method='HEAD'), HELLO)),
    ('HTTP/1.0, then HTTP/1.1', connection(b'1.0', b'keep-alive') + NEXT, keeps(KEPT10, HELLO)),
    ('HTTP/1.1, then HTTP/1.0', NEXT + get10(b'/'), closes(HELLO, HELLO10)),
    ('a request, then a malformed one', NEXT + request(b'GET  / HTTP/1.1') + NEXT,
     closes(HELLO, Reply(400, b'Bad request'))),
    ('a request, then one without Host', NEXT + b'GET / HTTP/1.1\r\n\r\n' + NEXT, closes(HELLO, Reply(400))),
    ('a body, then garbage', length(b'5') + b'garbage\r\n\r\n', closes(HELLO, Reply(400))),
    ('a body longer than its length', length(b'4') + b'\r\n\r\n', closes(Reply(200, b'hell'), Reply(400))),
    ('a request behind a refused one', request(b'GET / HTTP/2.0') + NEXT, refuses(505)),
    ('a request behind a refused body', length(b'65') + NEXT, refuses(413)),
    # section 9.3: what is not read is not taken for a request
    ('body not read', post(b'Content-Length: 42\r\n', EVIL, b'/ignore'), either(IGNORED)),
    ('chunked body not read', chunks(b'2a\r\n' + EVIL + b'\r\n' + LAST_CHUNK, b'/ignore'), either(IGNORED)),
    ('chunks not read', chunks((b'2a\r\n' + EVIL + b'\r\n') + b'2\r\nab\r\n' + LAST_CHUNK, b'/ignore'),
     either(IGNORED)),
    ('body read in part', post(b'Content-Length: 42\r\n', EVIL, b'/some'), either(Reply(200, b'GET '))),
    ('small body not read', post(b'Content-Length: 5\r\n', b'hello', b'/ignore'), keeps(IGNORED)),
    ('small body read in part', post(b'Content-Length: 5\r\n', b'hello', b'/some'),
     keeps(Reply(200, b'hell'))),
    ('body of an unknown path', post(b'Content-Length: 42\r\n', EVIL, b'/unknown'), either(Reply(404))),
    ('body of a method that is not allowed', post(b'Content-Length: 42\r\n', EVIL, b'/x'),
     either(Reply(405))),
    ('body of GET that is not read', get(b'/', b'Content-Length: 42\r\n') + EVIL, either(HELLO)),
)

# ---------------------------------------------------------------------------------------------------------------
# Responses (RFC 9110 sections 9 and 15, RFC 9112 sections 4 to 7)
# ---------------------------------------------------------------------------------------------------------------

TEXT = {'Content-Type': 'text/plain; charset=UTF-8'}
JSON = {'Content-Type': 'application/json; charset=UTF-8'}
CHUNKED = {'Transfer-Encoding': 'chunked'}
FRAMING = ('Content-Length', 'Transfer-Encoding')


def head(path, version=b'1.1', lines=b''):
    return request(b'HEAD ' + path + b' HTTP/' + version, lines)


def head_reply(status, headers, absent=(), version='1.1'):
    return Reply(status, b'', headers, absent, 'HEAD', version)


RESPONSES = (
    ('str', get(b'/text'), keeps(Reply(200, b'caf\xc3\xa9', dict(TEXT, **{'Content-Length': '5'})))),
    ('bytes', get(b'/bytes'), keeps(Reply(200, b'\x00\xff', {'Content-Length': '2'}))),
    ('dict', get(b'/dict'), keeps(Reply(200, b'{"a": 1}', JSON))),
    ('list', get(b'/list'), keeps(Reply(200, b'[1, 2]', JSON))),
    ('None', get(b'/none'), keeps(Reply(204, b'', absent=FRAMING))),
    ('int', get(b'/number'), keeps(Reply(202, b'', {'Content-Length': '0'}))),
    ('headers', get(b'/headers'), keeps(Reply(200, b'ok', {'X': 'y'}))),
    ('repeated header', get(b'/cookie'), keeps(Reply(200, b'ok', {'Set-Cookie': 'a=1, b=2'}))),
    ('redirect', get(b'/redirect'), keeps(Reply(302, b'', {'Location': '/x', 'Content-Length': '0'}))),
    ('abort', get(b'/abort/403'), keeps(Reply(403, b'403 error'))),
    # RFC 9110 section 15.3.5 and RFC 9112 section 6.3: no body, whatever the handler returns
    ('204', get(b'/status/204'), keeps(Reply(204, b'', absent=FRAMING))),
    ('204, then a request', get(b'/status/204') + NEXT, keeps(Reply(204, b''), HELLO)),
    ('304', get(b'/status/304'), keeps(Reply(304, b'', absent=('Transfer-Encoding',)))),
    ('304, then a request', get(b'/status/304') + NEXT, keeps(Reply(304, b''), HELLO)),
    ('204 with a stream', get(b'/stream204'), keeps(Reply(204, b'', absent=FRAMING))),
    ('304 with a stream', get(b'/stream304'), keeps(Reply(304, b'', absent=('Transfer-Encoding',)))),
    ('204 in HTTP/1.0', get10(b'/status/204'), closes(Reply(204, b'', absent=FRAMING, version='1.0'))),
    ('204 in HTTP/1.0, kept', get10(b'/status/204', b'Connection: keep-alive\r\n'),
     keeps(Reply(204, b'', absent=FRAMING, version='1.0'))),
    # streams: RFC 9112 section 7.1 and, for HTTP/1.0, section 6.3 rule 8
    ('generator', get(b'/generator'), keeps(Reply(200, b'onetwo', CHUNKED, ('Content-Length',)))),
    ('generator that yields nothing', get(b'/nothing'), keeps(Reply(200, b'', CHUNKED))),
    ('reader', get(b'/reader'), keeps(Reply(200, b'onetwo', CHUNKED))),
    ('generator of known length', get(b'/sized'), keeps(Reply(200, b'onetwo', {'Content-Length': '6'}))),
    ('generator, then a request', get(b'/generator') + NEXT, keeps(Reply(200, b'onetwo'), HELLO)),
    ('generator, to be closed', get(b'/generator', b'Connection: close\r\n'),
     closes(Reply(200, b'onetwo', CHUNKED))),
    ('generator in HTTP/1.0', get10(b'/generator'),
     closes(Reply(200, b'onetwo', absent=FRAMING, version='1.0'))),
    ('generator in HTTP/1.0, not kept', get10(b'/generator', b'Connection: keep-alive\r\n'),
     closes(Reply(200, b'onetwo', absent=FRAMING, version='1.0'))),
    ('generator that yields nothing, in HTTP/1.0', get10(b'/nothing'),
     closes(Reply(200, b'', version='1.0'))),
    ('generator of known length in HTTP/1.0, kept', get10(b'/sized', b'Connection: keep-alive\r\n'),
     keeps(Reply(200, b'onetwo', {'Content-Length': '6'}, version='1.0'))),
    ('reader in HTTP/1.0', get10(b'/reader'), closes(Reply(200, b'onetwo', absent=FRAMING, version='1.0'))),
    # RFC 9110 section 9.3.2
    ('HEAD', head(b'/'), keeps(head_reply(200, {'Content-Length': '5'}))),
    ('HEAD of an unknown path', head(b'/unknown'), keeps(head_reply(404, {'Content-Length': '9'}))),
    ('HEAD where there is no GET', head(b'/stream'), keeps(head_reply(405, {'Allow': ('POST', 'OPTIONS')}))),
    ('HEAD of a generator', head(b'/generator'), keeps(head_reply(200, CHUNKED, ('Content-Length',)))),
    ('HEAD of a generator of known length', head(b'/sized'), keeps(head_reply(200, {'Content-Length': '6'}))),
    ('HEAD of a generator that would fail', head(b'/half'), keeps(head_reply(200, CHUNKED))),
    ('HEAD of 204', head(b'/status/204'), keeps(head_reply(204, {}, FRAMING))),
    ('HEAD in HTTP/1.0', head(b'/', b'1.0'), closes(head_reply(200, {'Content-Length': '5'}, version='1.0'))),
    ('HEAD in HTTP/1.0, kept', head(b'/', b'1.0', b'Connection: keep-alive\r\n'),
     keeps(head_reply(200, {'Content-Length': '5'}, version='1.0'))),
    ('HEAD of a generator in HTTP/1.0', head(b'/generator', b'1.0'),
     closes(head_reply(200, {}, FRAMING, '1.0'))),
    ('HEAD with a body too large', head(b'/', lines=b'Content-Length: 65\r\n'), closes(head_reply(413, {}))),
    ('HEAD with an unknown expectation', head(b'/', lines=b'Expect: other\r\n'), either(head_reply(417, {}))),
    # RFC 9110 sections 9.3.7 and 15.5.6
    ('OPTIONS', request(b'OPTIONS / HTTP/1.1'),
     keeps(Reply(200, b'', {'Allow': ('GET', 'HEAD', 'OPTIONS')}))),
    ('OPTIONS of another route', request(b'OPTIONS /stream HTTP/1.1'),
     keeps(Reply(200, b'', {'Allow': ('POST', 'OPTIONS')}))),
    ('OPTIONS of many methods', request(b'OPTIONS /body HTTP/1.1'), keeps(Reply(200, b'', {
        'Allow': ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY', 'HEAD', 'OPTIONS')}))),
    ('OPTIONS of an unknown path', request(b'OPTIONS /unknown HTTP/1.1'), keeps(Reply(404, b'Not found'))),
    ('OPTIONS *', request(b'OPTIONS * HTTP/1.1'), keeps(Reply(200, b'', {
        'Allow': ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY', 'HEAD', 'OPTIONS')}))),
    ('405', post(b'Content-Length: 0\r\n', b'', b'/'),
     keeps(Reply(405, b'Method not allowed', {'Allow': ('GET', 'HEAD', 'OPTIONS')}))),
    ('405 where there is no GET', get(b'/stream'), keeps(Reply(405, headers={'Allow': ('POST', 'OPTIONS')}))),
    # the texts of refusals
    ('400', request(b'GET'), closes(Reply(400, b'Bad request', {'Connection': 'close'}, version=None))),
    ('413', length(b'65'), closes(Reply(413, b'Payload too large', {'Connection': 'close'}))),
    ('414', request(line_of(200)), closes(Reply(414, None, {'Connection': 'close'}, version=None))),
    ('413 by the handler', get(b'/abort/413'), closes(Reply(413, b'413 error', {'Connection': 'close'}))),
    ('414 by the handler', get(b'/abort/414'), closes(Reply(414, b'414 error', {'Connection': 'close'}))),
)

#: Every case in which nothing is to be logged.
CASES = (REQUEST_LINE + TARGETS + LINES + FIELDS + HOSTS + SIZES + LENGTHS + CODINGS + CHUNKS + EXPECT
         + CONNECTIONS + RESPONSES)

#: Cases in which the application fails, so that its exception is logged.
FAILING_CASES = (
    ('handler that raises', get(b'/raise'), keeps(Reply(500, b'Internal server error'))),
    ('handler that raises, then a request', get(b'/raise') + NEXT, keeps(Reply(500), HELLO)),
    # RFC 9112 section 8: the client can tell, because the last chunk or some of the body is missing
    ('generator that fails', get(b'/half'), closes(Reply(200, headers=CHUNKED, is_cut=True))),
    ('generator that fails, then a request', get(b'/half') + NEXT, closes(Reply(200, is_cut=True))),
    ('generator of known length that fails', get(b'/half-sized'), closes(Reply(200, is_cut=True))),
    ('generator that fails in HTTP/1.0', get10(b'/half'), closes(Reply(200, b'half', version='1.0'))),
)
