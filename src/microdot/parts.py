"""Where the names are that :mod:`microdot.microdot` does not define itself; see its docstring."""

if False:  # TYPE_CHECKING
    from typing import Any

#: Public names of the core, by the part that has them.
PARTS: 'dict[str, tuple[str, ...]]' = {
    'hooks': ('HTTPException', 'MUTED_SOCKET_ERRORS', 'close_bodies', 'finish', 'invoke_handler', 'mro',
              'reason_phrase'),
    'headers': ('NoCaseDict', 'check_headers', 'render_head', 'tokens', 'with_charset'),
    'forms': ('MultiDict', 'media_type', 'percent_decode', 'urldecode', 'urlencode'),
    'routing': ('URLPattern',),
    'streaming': ('BodyIterator', 'render_chunk'),
    'protocol': ('ChunkedDecoder', 'skip_empty_lines'),
}
#: Methods of the classes of the core, in the same way: functions whose first argument is the object.
METHODS: 'dict[str, dict[str, tuple[str, ...]]]' = {
    'AsyncBytesIO': {'streaming': ('readexactly', 'readuntil', 'readline', 'awrite', 'aclose')},
    'Response': {'cookies': ('set_cookie', 'delete_cookie'), 'headers': ('is_keepable', 'write'),
                 'streaming': ('body_iter',)},
    'Microdot': {'hooks': ('before_request', 'after_request', 'after_error_request', 'errorhandler', 'handle_error'),
                 'routing': ('mount', 'options_handler'), 'protocol': ('handle_request',)},
    'BodyStream': {'protocol': ('is_drainable',)},
    'Connection': {'protocol': ('linger', 'get_extra_info'), 'streaming': ('watch',)},
}


def load(part: str) -> 'Any':
    return getattr(__import__('microdot.' + part), part)


def find(name: str) -> 'Any':
    """Return what a public name of the core stands for; ``AttributeError`` if there is no such name."""
    for part in PARTS:
        if name in PARTS[part]:
            return getattr(load(part), name)
    raise AttributeError(name)


def find_method(self: 'Any', name: str) -> 'Any':
    """Add a method to the class of an object; ``AttributeError`` if there is no such method."""
    for parts in METHODS.values():
        for part in parts:
            if name in parts[part]:
                setattr(type(self), name, getattr(load(part), name))
                return getattr(self, name)
    raise AttributeError(name)
