"""UTF-8 that comes in pieces, or that a decoder of MicroPython would let pass although it is wrong."""
import re

# What a decoder of MicroPython lets pass (Unicode section 3.9, table 3-7): more bytes than a character needs,
# surrogates, and what is beyond U+10FFFF
WRONG = re.compile(
    b'[\xc0\xc1\xf5-\xff]|\xe0[\x80-\x9f]|\xed[\xa0-\xbf]|\xf0[\x80-\x8f]|\xf4[\x90-\xbf]')


def check_text(data: bytes) -> int:
    """Return how many bytes of ``data`` are whole characters; ``UnicodeError`` if it cannot become UTF-8."""
    if not data or max(data) < 128:
        return len(data)
    n = 1  # bytes of the last character
    while n < 3 and n < len(data) and data[-n] & 0xC0 == 0x80:
        n += 1
    lead = data[-n]
    missing = (lead > 0xBF) + (lead > 0xDF) + (lead > 0xEF) + 1 - n
    (data + b'\x80' * missing).decode()
    if WRONG.search(data):
        raise UnicodeError
    return len(data) - n if missing > 0 else len(data)
