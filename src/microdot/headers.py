"""A part of the core: headers of requests and responses that somebody looks at or sets."""
from microdot.hooks import close_bodies, reason_phrase
from microdot.microdot import ON_MICROPYTHON, Response, keep_alive

if False:  # TYPE_CHECKING
    from typing import Any


class NoCaseDict(dict):  # type: ignore[type-arg]
    """A dictionary whose keys compare without case; the first spelling of a key is kept."""

    def __init__(self, initial_dict: 'dict[str, Any] | None' = None):
        super().__init__()
        self._spelling: 'dict[str, str]' = {}  # of the key in lower case
        if initial_dict:
            self.update(initial_dict)

    def _spell(self, key: str) -> str:
        return self._spelling.get(key.lower(), key)

    def __setitem__(self, key: str, value: 'Any') -> None:
        super().__setitem__(self._spelling.setdefault(key.lower(), key), value)

    def __getitem__(self, key: str) -> 'Any':
        return super().__getitem__(self._spell(key))

    def __delitem__(self, key: str) -> None:
        super().__delitem__(self._spell(key))

    def __contains__(self, key: 'Any') -> bool:
        return super().get(self._spell(key), self) is not self

    def __eq__(self, other_dict: 'Any') -> bool:
        if not isinstance(other_dict, dict) or len(self) != len(other_dict):
            return False
        for key in other_dict:
            if key not in self or self[key] != other_dict[key]:
                return False
        return True

    def __ne__(self, other_dict: 'Any') -> bool:
        return not self == other_dict

    def get(self, key: str, default: 'Any' = None) -> 'Any':
        return super().get(self._spelling.get(key.lower(), key), default)

    def setdefault(self, key: str, default: 'Any' = None) -> 'Any':
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, *default: 'Any') -> 'Any':
        return super().pop(self._spell(key), *default)

    def copy(self) -> 'NoCaseDict':
        new = NoCaseDict()
        new.add_fields(self.items())
        return new

    def add_fields(self, fields: 'Any') -> None:
        """Add pairs of name and value; those of a repeated name are joined (RFC 9110 section 5.3)."""
        spelling = self._spelling
        put = super().__setitem__
        for name, value in fields:
            key = name.lower()
            if key in spelling:  # RFC 9113 section 8.2.3
                name = spelling[key]
                value = self[name] + ('; ' if key == 'cookie' else ', ') + value
            else:
                spelling[key] = name
            put(name, value)

    def __ior__(self, other_dict: 'Any') -> 'NoCaseDict':
        self.update(other_dict)
        return self

    def __or__(self, other_dict: 'Any') -> 'NoCaseDict':
        new = self.copy()
        new |= other_dict
        return new

    def update(self, other_dict: 'Any' = (), **kwargs: 'Any') -> None:  # type: ignore[override]
        pairs: 'Any'
        for pairs in (other_dict, kwargs):
            for key, value in pairs.items() if hasattr(pairs, 'items') else pairs:
                self[key] = value


def tokens(value: str) -> 'list[str]':
    """Split a comma separated list (RFC 9110 section 5.6.1) into its lower case members."""
    return [item.strip(' \t') for item in value.lower().split(',')]


def check_headers(headers: 'dict[str, Any]') -> None:
    """Raise ``ValueError`` for CR, LF or NUL (RFC 9110 section 5.5), which would end a header early."""
    for name, value in headers.items():
        for text in [name] + value if isinstance(value, list) else (name, str(value)):
            if '\r' in text or '\n' in text or '\0' in text:
                raise ValueError('line break or NUL in the header %r' % name)


def set_headers(response: Response, headers: 'dict[str, Any] | None') -> None:
    """Give a response the headers of the application, or those that it has by itself."""
    new = NoCaseDict(headers)
    check_headers(new)
    if response._kind:
        new.setdefault('Content-Type', response._kind)
    response.headers = new
    if response.is_plain:
        response.complete()  # not plain any more


def is_bodyless(status_code: int) -> bool:
    """Tell whether a response of this status never has a body (RFC 9112 section 6.3)."""
    return status_code < 200 or status_code in (204, 304)


def with_charset(kind: str) -> str:
    return kind if 'charset=' in kind else kind + '; charset=UTF-8'


def complete(response: Response) -> None:
    """See :meth:`microdot.microdot.Response.complete`."""
    headers = response.headers
    headers.pop('Transfer-Encoding', None)  # framing is the server's; perhaps it came with another's headers
    if not is_bodyless(response.status_code):
        if isinstance(response.body, bytes):
            headers['Content-Length'] = str(len(response.body))
        else:
            response.body_iter()  # TypeError for what cannot be a body
        if 'Content-Type' not in headers:
            headers['Content-Type'] = with_charset(response.default_content_type)
    check_headers(headers)
    check_headers({'reason phrase': response.reason})


def is_keepable(response: Response, version: str) -> bool:
    """Tell whether a response lets the connection stay open."""
    headers = response.headers
    return response.status_code not in (413, 414) and keep_alive('1.1', headers.get('Connection')) and (
        version == '1.1' or 'Content-Length' in headers or is_bodyless(response.status_code))


def render_head(version: str, status_code: int, reason: 'str | None', headers: 'dict[str, Any]', extra: str) -> bytes:
    """Render a response's header block; ``extra`` are complete lines that belong to the connection."""
    phrase = reason_phrase(status_code) if reason is None else reason
    lines = ['HTTP/%s %d %s' % (version, status_code, phrase)]
    for name, value in headers.items():
        for item in value if isinstance(value, list) else (value,):
            lines.append('%s: %s' % (name, item))
    lines.append(extra + '\r\n')
    return '\r\n'.join(lines).encode()


async def write(self: Response, stream: 'Any') -> None:
    """Write the whole response to an object with ``awrite``, as HTTP/1.0."""
    await self.send(stream, '1.0', '', False)


async def send(response: Response, stream: 'Any', version: str, extra: str, is_head: bool) -> None:
    """See :meth:`microdot.microdot.Response.send`."""
    body = response.body
    try:
        if not response.is_complete:
            response.complete()
        is_bodyless_ = is_bodyless(response.status_code)
        is_chunked = version == '1.1' and not isinstance(body, bytes) and 'Content-Length' not in response.headers
        if is_chunked and not is_bodyless_:
            extra += 'Transfer-Encoding: chunked\r\n'
        head = render_head(version, response.status_code, response.reason, response.headers, extra)
        if is_head or is_bodyless_:
            await stream.awrite(head)
        elif isinstance(body, bytes):
            if ON_MICROPYTHON and len(body) > 1024:  # a board may have no room for a copy
                await stream.awrite(head)
                head = b''
            await stream.awrite(head + body if head else body)
        else:
            from microdot.streaming import send_stream

            await send_stream(response, stream, head, is_chunked)
    finally:
        await close_bodies([body] + response.origins)
