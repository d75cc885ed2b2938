"""A part of the core: hooks that run after handlers, errors and their handlers."""
from microdot.microdot import Microdot, ProtocolError, Request, Response, iscoroutine, log_error, make_response, prepare

if False:  # TYPE_CHECKING
    from collections.abc import Callable, Iterator
    from typing import Any

    from microdot.microdot import Hook

#: Errors of broken connections on Linux, BSD and lwIP. The server never logs them, whatever their number.
MUTED_SOCKET_ERRORS = [32, 54, 103, 104, 107, 110, 113, 128]

#: Reason phrases (RFC 9110 section 15, RFC 6585). One string, because a board pays for every object in a table.
REASONS = '''
101 Switching Protocols
200 OK
201 Created
202 Accepted
203 Non-Authoritative Information
204 No Content
205 Reset Content
206 Partial Content
300 Multiple Choices
301 Moved Permanently
302 Found
303 See Other
304 Not Modified
307 Temporary Redirect
308 Permanent Redirect
400 Bad Request
401 Unauthorized
402 Payment Required
403 Forbidden
404 Not Found
405 Method Not Allowed
406 Not Acceptable
408 Request Timeout
409 Conflict
410 Gone
411 Length Required
412 Precondition Failed
413 Content Too Large
414 URI Too Long
415 Unsupported Media Type
416 Range Not Satisfiable
417 Expectation Failed
421 Misdirected Request
422 Unprocessable Content
426 Upgrade Required
428 Precondition Required
429 Too Many Requests
431 Request Header Fields Too Large
451 Unavailable For Legal Reasons
500 Internal Server Error
501 Not Implemented
502 Bad Gateway
503 Service Unavailable
504 Gateway Timeout
505 HTTP Version Not Supported
'''


def reason_phrase(status_code: int) -> str:
    start = REASONS.find('\n%d ' % status_code)
    return REASONS[start + 5:REASONS.find('\n', start + 1)] if start >= 0 else ''


class HTTPException(Exception):
    """Raised by :func:`abort`: ends the request with a status code; ``reason`` is the body of the response."""

    def __init__(self, status_code: int, reason: 'str | None' = None):
        super().__init__(status_code)
        self.status_code = status_code
        self.reason = '%d error' % status_code if reason is None else reason


def mro(cls: type) -> 'list[type]':
    """Return a class and those that it inherits from, as ``type.mro()`` does where there is one."""
    if hasattr(cls, 'mro'):
        return cls.mro()
    classes = [cls]
    for base in cls.__bases__:
        classes += mro(base)
    return classes


# ---------------------------------------------------------------------------------------------------------------
# Methods of applications
# ---------------------------------------------------------------------------------------------------------------

def before_request(self: Microdot, f: 'Hook') -> 'Hook':
    """Decorate ``f(request)`` to run before each request; a result other than ``None`` is the response."""
    self.before_request_handlers.append(prepare(f))
    return f


def after_request(self: Microdot, f: 'Hook') -> 'Hook':
    """Decorate ``f(request, response)`` to run after successful requests; its result replaces the response."""
    self.after_request_handlers.append(prepare(f))
    return f


def after_error_request(self: Microdot, f: 'Hook') -> 'Hook':
    """Decorate ``f(request, response)`` to run after error responses; its result replaces the response.

    ``request`` is ``None`` where there was no well-formed request.

    """
    self.after_error_request_handlers.append(prepare(f))
    return f


def errorhandler(self: Microdot, status_code_or_exception_class: 'int | type[Exception]') -> 'Callable[..., Any]':
    """Decorate ``f(request)`` for a status code, or ``f(request, exception)`` for an exception class."""
    def decorated(f: 'Hook') -> 'Hook':
        self.error_handlers[status_code_or_exception_class] = prepare(f)
        return f
    return decorated


async def invoke_handler(handler: 'Hook', *args: 'Any', **kwargs: 'Any') -> 'Any':
    """Call a handler of any kind and return its result."""
    return await prepare(handler)(*args, **kwargs)


# ---------------------------------------------------------------------------------------------------------------
# What happens after a handler
# ---------------------------------------------------------------------------------------------------------------

def later_hooks(request: 'Request | None') -> 'Iterator[Any]':
    """Yield the hooks of extensions, also those that are added while others run."""
    i = 0
    while request and i < len(request.response_hooks):
        yield request.response_hooks[i]
        i += 1


async def finish_request(apps: 'tuple[Microdot, ...]', request: Request, response: Response) -> Response:
    """Run the hooks for a response of a handler: those of its applications, the innermost first, then its own."""
    hooks: 'list[Any]' = [app.after_request_handlers for app in apps]
    return await finish(hooks + [request.after_request_handlers], request, response)


async def finish(hooks: 'list[Any]', request: 'Request | None', response: Response) -> Response:
    """Run hooks, given as lists of them, then those of extensions, and complete the response.

    What a hook returns replaces it. A body that will not be sent is closed.

    """
    bodies = [response.body]
    try:
        for some in hooks + [later_hooks(request)]:
            for hook in some:
                value = await hook(request, response)
                if value is not None:
                    response = make_response(value)
                if response.body is not bodies[-1]:
                    bodies.append(response.body)
        if request and hasattr(response.body, 'prepare'):
            await response.body.prepare(request, response)
        response.complete()
    except BaseException:
        await close_bodies(bodies)
        raise
    if isinstance(response.body, bytes):
        await close_bodies(bodies)
    else:
        response.origins = bodies[:-1]  # which the last one may read from
    return response


async def close_bodies(bodies: 'list[Any]') -> None:
    """Close what was, or was to be, sent."""
    try:
        for i in range(len(bodies)):
            close = getattr(bodies[i], 'aclose', None) or getattr(bodies[i], 'close', None)
            if close:
                result = close()
                if hasattr(result, '__await__') or iscoroutine(result):
                    await result
    except BaseException:
        await close_bodies(bodies[i + 1:])
        raise


async def handle_error(app: Microdot, request: 'Request | None', exc: Exception) -> Response:
    """Turn an exception into a response; ``request`` is ``None`` where it was malformed."""
    for attempt in 0, 1, 2:  # the second is without error handlers, the third without hooks of the application
        try:
            response = default_response(exc) if attempt else await error_response(app, request, exc)
            hooks = [local.after_error_request_handlers for local in apps_of(app, request)]
            return await finish(hooks if attempt < 2 else [], request, response)
        except Exception as failure:  # a handler that cannot do without a request is no news
            if request:
                if not isinstance(failure, (HTTPException, ProtocolError)):
                    log_error(failure, request)
                exc = failure
    response = default_response(exc)
    response.complete()
    return response


def apps_of(app: Microdot, request: 'Request | None') -> 'tuple[Microdot, ...]':
    return (request.local_apps if request else ()) + (app,)


async def error_response(app: Microdot, request: 'Request | None', exc: Exception) -> Response:
    """Call the most specific error handler: the innermost application first, then along the exception's MRO."""
    apps = apps_of(app, request)
    is_http = isinstance(exc, (HTTPException, ProtocolError))
    args: 'tuple[Any, ...]' = (request,) if is_http else (request, exc)
    for local in apps:
        for key in exc.args[:1] if is_http else mro(type(exc)):
            if key in local.error_handlers:
                response = make_response(await local.error_handlers[key](*args))
                for name, value in exc.args[1].items() if len(exc.args) == 2 else ():
                    response.headers.setdefault(name, value)
                return response
    if not is_http:
        log_error(exc, request)
        for local in apps:
            if 500 in local.error_handlers:
                return make_response(await local.error_handlers[500](request))
    return default_response(exc)


def default_response(exc: Exception) -> Response:
    """Return the response to an exception that no error handler is for."""
    if isinstance(exc, HTTPException):
        return Response(exc.reason, exc.status_code)
    status_code, headers = (exc.args + (None,))[:2] if isinstance(exc, ProtocolError) else (500, None)
    text = 'Payload too large' if status_code == 413 else reason_phrase(status_code)
    return Response(text[:1] + text[1:].lower(), status_code, headers)
