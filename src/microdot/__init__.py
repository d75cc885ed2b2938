"""A web framework in the spirit of Flask for microcontrollers and servers."""
from microdot.microdot import (
    ON_MICROPYTHON,
    AsyncBytesIO,
    Microdot,
    Request,
    Response,
    __version__,
    abort,
    iscoroutine,
    redirect,
    send_file,
)

if False:  # TYPE_CHECKING
    from typing import Any

__all__ = [
    'AsyncBytesIO', 'Microdot', 'Request', 'Response', 'URLPattern', 'abort', 'iscoroutine', 'redirect',
    'send_file', '__version__',
]

if ON_MICROPYTHON:
    def __getattr__(name: str) -> 'Any':
        """Import what most applications do not need when somebody asks for it."""
        if name == 'URLPattern':
            from microdot.routing import URLPattern

            return URLPattern
        try:
            return getattr(__import__('microdot.' + name), name)  # "from microdot import name" begins here
        except ImportError:
            raise AttributeError(name)
else:
    from microdot.routing import URLPattern
