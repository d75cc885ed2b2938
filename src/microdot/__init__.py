"""A web framework in the spirit of Flask for microcontrollers and servers."""
from microdot.microdot import (
    AsyncBytesIO,
    Microdot,
    Request,
    Response,
    URLPattern,
    abort,
    iscoroutine,
    redirect,
    send_file,
)

__version__ = '3.0.0.dev0'
__all__ = [
    'AsyncBytesIO', 'Microdot', 'Request', 'Response', 'URLPattern', 'abort', 'iscoroutine', 'redirect',
    'send_file', '__version__',
]
