"""A part of the core: what is derived from a request, such as forms, query strings and cookies."""
import json
from binascii import unhexlify

from microdot.microdot import AsyncBytesIO, ProtocolError, decode, parse_field, prepare
from microdot.parts import find_method

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.microdot import Hook, Request


class MultiDict(dict):  # type: ignore[type-arg]
    """A dictionary that keeps every value that is assigned to a key; reading gives the first."""

    def __init__(self, initial_dict: 'dict[str, Any] | None' = None):
        super().__init__()
        for key, value in (initial_dict or {}).items():
            self[key] = value

    def __setitem__(self, key: str, value: 'Any') -> None:
        if key not in self:
            super().__setitem__(key, [])
        super().__getitem__(key).append(value)

    def __getitem__(self, key: str) -> 'Any':
        return super().__getitem__(key)[0]

    def get(self, key: str, default: 'Any' = None, type: 'Callable[[Any], Any] | None' = None) -> 'Any':
        """Return the first value, converted by ``type`` if that is given, or ``default``."""
        if key not in self:
            return default
        return type(self[key]) if type else self[key]

    def getlist(self, key: str, type: 'Callable[[Any], Any] | None' = None) -> 'list[Any]':
        """Return all values, each converted by ``type`` if that is given."""
        values = super().get(key, [])
        return list(map(type, values)) if type else values


def percent_decode(text: str) -> str:
    """Decode ``%XX`` (RFC 3986 section 2.1) as UTF-8; what is not a valid triplet stays as it is."""
    if '%' not in text:
        return text
    parts = text.encode().split(b'%')
    for i in range(1, len(parts)):
        part = parts[i]
        try:
            parts[i] = unhexlify(part[:2] or b'-') + part[2:]
        except ValueError:
            parts[i] = b'%' + part
    return decode(b''.join(parts))


def urldecode(s: str) -> str:
    """Decode a name or value of a form or query string."""
    return percent_decode(s.replace('+', ' '))


def urlencode(s: str) -> str:
    """Encode a name or value for a form or query string; :func:`urldecode` is the inverse."""
    text = ''
    for byte in s.encode():
        char = chr(byte)
        if char in '-._~' or byte < 127 and (char.isalpha() or char.isdigit()):  # RFC 3986 section 2.3
            text += char
        else:
            text += '+' if char == ' ' else '%%%02X' % byte
    return text


def parse_pairs(text: str, separator: str, data: 'Any', convert: 'Callable[[str], str]') -> 'Any':
    """Add the ``name=value`` pairs of a query string, form (WHATWG URL, section 5.1) or cookie header to ``data``."""
    for pair in text.split(separator):
        name, _, value = pair.partition('=')
        name = convert(name)
        value = convert(value)
        if name or value:
            data[name] = value
    return data


def media_type(value: 'str | None') -> str:
    """Return a ``Content-Type`` without its parameters (RFC 9110 section 8.3.1), ``''`` if there is none."""
    return (value or '').partition(';')[0].strip().lower()


class G:
    """The application's own attributes of a request."""


def derive(request: 'Request', name: str) -> 'Any':
    """Compute an attribute of a request; ``AttributeError`` if there is no such attribute."""
    if request.block is None and type(request.fields) is dict:  # of an application
        from microdot.headers import NoCaseDict

        request.headers = request.fields = NoCaseDict(request.fields)
    if name == 'headers':
        return make_headers(request)
    if name == 'json' or name == 'form':
        return parse_body(request, name)
    if name == 'path':
        return percent_decode(request.raw_path)
    if name == 'g':
        return G()
    if name == 'stream':
        return AsyncBytesIO(request.body)
    if name == 'query_string':
        return request.url[len(request.raw_path) + 1:] if '?' in request.url else None
    if name == 'args':
        return parse_pairs(request.query_string or '', '&', MultiDict(), urldecode)
    if name == 'cookies':
        return parse_pairs(request.fields.get('cookie', ''), ';', {}, str.strip)
    if name == 'content_type':
        return request.fields.get('content-type')
    if name == 'content_length':
        return int(request.fields.get('content-length', '0').partition(',')[0])  # repeated ones are equal
    return find_method(request, name)


def after_request(self: 'Request', f: 'Hook') -> 'Hook':
    """Register ``f(request, response)`` to run after this request, when all other handlers have run."""
    self.after_request_handlers += (prepare(f),)
    return f


def make_headers(request: 'Request') -> 'Any':
    if request.block is None:
        return request.fields
    from microdot.headers import NoCaseDict

    headers = NoCaseDict()
    headers.add_fields([parse_field(line) for line in request.block.split(b'\r\n')[:-2]])
    if 'host' in request.fields:
        headers['Host'] = request.fields['host']  # of a target in absolute form (RFC 9112 section 3.2.2)
    return headers


def parse_body(request: 'Request', name: str) -> 'Any':
    kind = media_type(request.fields.get('content-type'))
    if name == 'form':
        if kind == 'application/x-www-form-urlencoded':
            return parse_pairs(decode(request.body), '&', MultiDict(), urldecode)
    elif kind == 'application/json' or kind[-5:] == '+json':
        try:
            return json.loads(request.body.decode())
        except (ValueError, RuntimeError):  # malformed, or nested too deeply
            raise ProtocolError(400) from None
    return None
