"""Where the names are that :mod:`microdot.microdot` does not define itself; see its docstring."""

if False:  # TYPE_CHECKING
    from typing import Any

#: Public names of the core, by the part that has them. Strings, because a board pays for every object in a table.
PARTS = {
    'hooks': 'HTTPException MUTED_SOCKET_ERRORS close_bodies finish invoke_handler mro reason_phrase',
    'headers': 'NoCaseDict check_headers render_head tokens with_charset',
    'forms': 'MultiDict media_type percent_decode urldecode urlencode',
    'routing': 'URLPattern',
    'streaming': 'BodyIterator render_chunk',
    'protocol': 'ChunkedDecoder skip_empty_lines',
}
#: Methods of the classes of the core, in the same way: functions whose first argument is the object.
METHODS = {
    'hooks': 'Microdot before_request after_request after_error_request errorhandler handle_error',
    'routing': 'Microdot mount options_handler default_options_handler',
    'forms': 'Request after_request',
    'cookies': 'Response set_cookie delete_cookie',
    'headers': 'Response is_keepable write',
    'streaming': 'AsyncBytesIO readexactly readuntil readline awrite aclose, Response body_iter, Connection watch',
    'protocol': 'Microdot handle_request, BodyStream is_drainable, Connection linger get_extra_info',
}


def load(part: str) -> 'Any':
    return getattr(__import__('microdot.' + part), part)


def find(name: str) -> 'Any':
    """Return what a public name of the core stands for; ``AttributeError`` if there is no such name."""
    for part in PARTS:
        if name in PARTS[part].split():
            return getattr(load(part), name)
    raise AttributeError(name)


def find_method(self: 'Any', name: str) -> 'Any':
    """Add a method to the class of an object; ``AttributeError`` if there is no such method."""
    for part in METHODS:
        if name in METHODS[part].replace(',', '').split():
            setattr(type(self), name, getattr(load(part), name))
            return getattr(self, name)
    raise AttributeError(name)
