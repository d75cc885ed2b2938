"""Rows of wire_cases.py: chunked bodies, and Expect."""
from support import Reply, closes, either, keeps, refuses
from wire_requests import (
    CONTINUE,
    HELLO,
    HELLO_CHUNKS,
    LAST_CHUNK,
    NEXT,
    TOO_LONG,
    chunks,
    each,
    expecting,
    get,
    post,
    trailer,
)

# ---------------------------------------------------------------------------------------------------------------
# Chunked bodies (RFC 9112 section 7.1)
# ---------------------------------------------------------------------------------------------------------------


def size(text):
    """Return a request with a chunk of five bytes that has this size line."""
    return chunks(text + b'\r\nhello\r\n' + LAST_CHUNK)


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

CASES = CHUNKS + EXPECT
