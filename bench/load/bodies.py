"""Bodies of multipart/form-data, the same bytes in every process. Imported by upload.py and parse.py."""
import random

BOUNDARY = '----------------------------7d52a6c0b1f843ce'
PIECE = 64 * 1024  # bytes that a parser gets at a time
SMALL_SHARE = 10  # of the bytes of the other bodies, many small parts have a tenth


def make(case: str, megabytes: int) -> 'tuple[bytes, int, int]':
    """Return a body, how many parts it has, and the bytes of their contents."""
    if case == 'small parts':
        contents = [small_content(number) for number in range(megabytes * 10**6 // SMALL_SHARE // 150)]
        return join((render_field(number), content) for number, content in enumerate(contents)), len(contents), \
            sum(map(len, contents))
    block = BLOCKS[case]()
    content = block * (megabytes * 10**6 // len(block))
    return join([(render_file(), content)]), 1, len(content)


def join(parts) -> bytes:
    pieces = []
    for head, content in parts:
        pieces += (b'--%b\r\n' % BOUNDARY.encode(), head, content, b'\r\n')
    return b''.join((*pieces, b'--%b--\r\n' % BOUNDARY.encode()))


def render_file() -> bytes:
    return (b'Content-Disposition: form-data; name="file"; filename="data"\r\n'
            b'Content-Type: application/octet-stream\r\n\r\n')


def render_field(number: int) -> bytes:
    return b'Content-Disposition: form-data; name="field%d"\r\n\r\n' % number


def small_content(number: int) -> bytes:
    return b'x' * (number % 64)


def binary_block() -> bytes:
    return random.Random(1).randbytes(1_000_000)


def text_block() -> bytes:
    """Lines of 0 to 80 bytes, each with CRLF at its end, as is before every boundary; some begin like one."""
    choice = random.Random(2)
    lines = ((b'--' if choice.random() < 0.05 else b'') + b'a' * choice.randrange(80) for _ in range(25_000))
    return b'\r\n'.join(lines) + b'\r\n'


def line_breaks() -> bytes:
    return b'\r\n' * 500_000


BLOCKS = {'binary': binary_block, 'text': text_block, 'line breaks': line_breaks}


def pieces_of(body: bytes) -> 'list[bytes]':
    return [body[begin:begin + PIECE] for begin in range(0, len(body), PIECE)]
