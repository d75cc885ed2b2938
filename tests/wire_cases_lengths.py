"""Rows of wire_cases.py: limits of the header, and the framing of bodies."""
from support import Reply, closes, keeps, refuses
from wire_requests import (
    HELLO,
    HELLO_CHUNKS,
    LAST_CHUNK,
    LIMITS,
    NEXT,
    coding,
    each,
    field,
    get,
    get10,
    length,
    line_of,
    post,
    request,
)

# ---------------------------------------------------------------------------------------------------------------
# Limits (RFC 9112 section 3, RFC 6585 section 5)
# ---------------------------------------------------------------------------------------------------------------


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

CASES = SIZES + LENGTHS + CODINGS
