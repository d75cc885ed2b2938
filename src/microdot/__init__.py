"""A web framework in the spirit of Flask for microcontrollers and servers."""
from microdot.microdot import (
    AsyncBytesIO,
    Microdot,
    Request,
    Response,
    URLPattern,
    __version__,
    abort,
    iscoroutine,
    redirect,
    send_file,
)

__all__ = [
    'AsyncBytesIO', 'Microdot', 'Request', 'Response', 'URLPattern', 'abort', 'iscoroutine', 'redirect',
    'send_file', '__version__',
]
