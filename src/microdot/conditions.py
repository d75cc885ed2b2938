"""Conditional requests and ranges (RFC 9110 sections 13 and 14). ``microdot.file_body`` loads it when needed."""
import re

from microdot.file_body import MONTHS
from microdot.microdot import ProtocolError

try:
    from time import gmtime
except ImportError:  # CircuitPython, whose clock has no zone
    from time import localtime as gmtime

if False:  # TYPE_CHECKING
    from typing import Any

    from microdot.file_body import File
    from microdot.headers import NoCaseDict
    from microdot.microdot import Request, Response

    Date = tuple[int, ...]

# RFC 9110 section 5.6.7: IMF-fixdate and the date of RFC 850, then that of asctime(); MicroPython's engine has no {2}
DATE = re.compile('^[A-Z][a-z]+, ([0-9][0-9])[- ]([A-Z][a-z][a-z])[- ]([0-9][0-9][0-9]?[0-9]?) '
                  '([0-9][0-9]):([0-9][0-9]):([0-9][0-9]) GMT$')
ASCTIME = re.compile('^[A-Z][a-z][a-z] ([A-Z][a-z][a-z]) ([ 0-9][0-9]) '
                     '([0-9][0-9]):([0-9][0-9]):([0-9][0-9]) ([0-9][0-9][0-9][0-9])$')

def parse_date(text: str) -> 'Date | None':
    """Return year, month, day, hour, minute, second of an HTTP date (RFC 9110 section 5.6.7), ``None`` if it is none.

    They are compared as they are: boards disagree on the time that timestamps count from.

    """
    found: 'Any' = DATE.match(text)
    if found:
        day, month, year, hour, minute, second = [found.group(i) for i in range(1, 7)]
    else:
        found = ASCTIME.match(text)
        if not found:
            return None
        month, day, hour, minute, second, year = [found.group(i) for i in range(1, 7)]
    number = MONTHS.find(month)
    date = (full_year(year), number // 3 + 1, int(day), int(hour), int(minute), int(second))
    if number % 3 or len(year) == 3 or not 0 < date[2] < 32 or date[3] > 23 or date[4] > 59 or date[5] > 60:
        return None
    return date


def full_year(text: str) -> int:
    """Return the year; of two digits the last one that is not more than 50 years ahead."""
    year = int(text)
    if len(text) == 2:
        now = gmtime()[0]
        year += now - now % 100
        if year > now + 50:
            year -= 100
    return year


def has_tag(value: str, tag: str, is_strong: bool) -> bool:
    """Tell whether a list of entity tags has this one, or is ``*`` (RFC 9110 section 8.8.3.2)."""
    if value == '*':
        return True
    parts = value.split('"')  # what is between the quotes, at odd places, has none itself
    for i in range(1, len(parts) - 1, 2):
        if '"%s"' % parts[i] == tag[tag.find('"'):]:
            if not is_strong or tag[0] == '"' and parts[i - 1][-1:] != '/':
                return True
    return False


def check_conditions(asked: 'NoCaseDict', headers: 'NoCaseDict') -> int:
    """Return the status code that the conditions of a GET or HEAD request lead to, 0 for an ordinary response.

    RFC 9110 section 13.2.2.

    :param asked: the headers of the request.
    :param headers: those of the response, with ``ETag`` and ``Last-Modified``.

    """
    tag = headers.get('ETag', '')
    if 'If-Match' in asked:
        if not has_tag(asked['If-Match'], tag, True):
            return 412
    elif is_later(headers, asked.get('If-Unmodified-Since'), False):
        return 412
    if 'If-None-Match' in asked:
        return 304 if has_tag(asked['If-None-Match'], tag, False) else 0
    return 0 if is_later(headers, asked.get('If-Modified-Since'), True) else 304


def is_later(headers: 'NoCaseDict', value: 'str | None', default: bool) -> bool:
    """Tell whether ``Last-Modified`` is later than a date; ``default`` if one of the two is not there or no date."""
    limit = parse_date(value) if value else None
    date = parse_date(headers.get('Last-Modified', '')) if limit else None
    return date > limit if date and limit else default


def is_current(value: str, headers: 'NoCaseDict') -> bool:
    """Tell whether the client has a part of what we would send: the value of ``If-Range`` (RFC 9110 section 13.1.5)."""
    if value[-1:] == '"':
        return value[0] == '"' and value == headers.get('ETag')
    date = parse_date(headers.get('Last-Modified', ''))
    # of the current second it says nothing: the file may change once more (section 8.8.2.2)
    return date is not None and date == parse_date(value) and date < tuple(gmtime()[:6])


def parse_range(value: str, size: int) -> 'tuple[int, int] | None':
    """Return where a range begins and ends, ``None`` for what is to be ignored (RFC 9110 section 14.2).

    ``ProtocolError`` if the range is beyond the end. Several ranges at once are ignored.

    """
    unit, _, ranges = value.partition('=')
    parts = [part for part in [part.strip(' \t') for part in ranges.split(',')] if part]
    first, dash, last = parts[0].partition('-') if len(parts) == 1 else ('', '', '')
    if unit.lower() != 'bytes' or not dash or not (first + last + '0').encode().isdigit() or first + last == '':
        return None
    start = to_int(first)
    end = to_int(last) + 1 if last else size
    if not first:  # the last so many bytes
        start = max(size - to_int(last), 0)
        if not size and to_int(last):
            return None  # all of it, which has no first and last byte that Content-Range could name
        end = size
    elif end <= start and last:
        return None
    if start >= size:
        raise ProtocolError(416, {'Content-Range': 'bytes */%d' % size})
    return start, min(end, size)


def to_int(digits: str) -> int:
    """Convert digits; CPython refuses thousands of them, and no file is that long."""
    digits = digits.lstrip('0')
    return int(digits or '0') if len(digits) < 19 else 1 << 62


def decide(file: 'File', request: 'Request', response: 'Response') -> None:
    """Make the response what the conditions and the range of the request ask for.

    ``ProtocolError`` with 412 or 416 as the request has it.

    """
    headers = response.headers
    asked = request.headers
    status_code = check_conditions(asked, headers)
    if status_code == 412:
        raise ProtocolError(412)
    if status_code:
        response.status_code = status_code
        response.body = b''
        for name in 'Content-Type', 'Content-Length', 'Content-Encoding', 'Accept-Ranges':
            headers.pop(name, None)
    elif request.method == 'GET' and 'Range' in asked and (
            'If-Range' not in asked or is_current(asked['If-Range'], headers)):
        found = parse_range(asked['Range'], file.size)
        if found:
            file.start = found[0]
            file.left = found[1] - found[0]
            response.status_code = 206
            headers['Content-Range'] = 'bytes %d-%d/%d' % (found[0], found[1] - 1, file.size)
            headers['Content-Length'] = str(file.left)
