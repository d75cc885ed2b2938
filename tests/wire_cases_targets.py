"""Rows of wire_cases.py: the request line and its target."""
from support import Reply, closes, keeps, refuses
from wire_requests import HELLO, HOST, NEXT, each, get, get10, request

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

CASES = REQUEST_LINE + TARGETS
