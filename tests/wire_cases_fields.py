"""Rows of wire_cases.py: line ends, fields, Host."""
from support import Reply, closes, keeps, refuses
from wire_requests import HELLO, HELLO_CHUNKS, HOST, NEXT, each, field, get, get10, host, length, post

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

CASES = LINES + FIELDS + HOSTS
