"""Types of the methods that parts add to the classes of the core, for type checkers alone.

In :mod:`microdot.microdot` they would take MicroPython 10 KB of heap while it compiles that from source.

"""
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from microdot.microdot import Hook, Microdot, Request, Response


class SetCookie(Protocol):
    def __call__(self, cookie: str, value: str, path: 'str | None' = None, domain: 'str | None' = None,
                 expires: 'Any' = None, max_age: 'int | None' = None, secure: bool = False, http_only: bool = False,
                 partitioned: bool = False, same_site: 'str | None' = None) -> None: ...


class DeleteCookie(Protocol):
    def __call__(self, cookie: str, **kwargs: 'Any') -> None: ...


class SendFile(Protocol):
    def __call__(self, filename: str, status_code: int = 200, content_type: 'str | None' = None, stream: 'Any' = None,
                 max_age: 'int | None' = None, compressed: 'bool | str' = False,
                 file_extension: str = '') -> 'Response': ...


class Create(Protocol):
    def __call__(self, app: 'Microdot', client_reader: 'Any', client_writer: 'Any', client_addr: 'tuple[str, int]',
                 scheme: 'str | None' = None) -> 'Awaitable[Request | None]': ...


class Decorator(Protocol):
    def __call__(self, f: 'Hook') -> 'Hook': ...


class ErrorHandler(Protocol):
    def __call__(self, status_code_or_exception_class: 'int | type[Exception]') -> Decorator: ...


class HandleError(Protocol):
    def __call__(self, request: 'Request | None', exc: Exception) -> 'Awaitable[Response]': ...


class Mount(Protocol):
    def __call__(self, subapp: 'Microdot', url_prefix: str = '', local: bool = False) -> None: ...


class Run(Protocol):
    def __call__(self, host: 'Any' = '0.0.0.0', port: int = 5000, debug: bool = False, ssl: 'Any' = None,
                 **options: 'Any') -> None: ...


class ReadUntil(Protocol):
    def __call__(self, separator: bytes = b'\n') -> Awaitable[bytes]: ...
