"""Rows of wire_cases.py: which connections stay open."""
from support import Reply, closes, either, keeps, overruns, refuses
from wire_requests import (
    EVIL,
    HELLO,
    HELLO_CHUNKS,
    LAST_CHUNK,
    NEXT,
    chunks,
    connection,
    each,
    get,
    get10,
    length,
    post,
    request,
    trailer,
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

CASES = CONNECTIONS
