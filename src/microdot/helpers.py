"""What several extensions need."""
from microdot.headers import tokens
from microdot.microdot import ON_MICROPYTHON, prepare

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.microdot import Request, Response

if ON_MICROPYTHON:
    inner_functions: 'dict[Any, Any]' = {}  # wrapper: what it wraps, since functions have no attributes here
    inner_of = inner_functions.get
    # wrapper: the decorator that made it, whether that decides if a request gets to what it wraps
    decorations: 'Any' = {}  # a board has no weak references, and keeps its handlers anyway
    warn = print

    def wraps(wrapped: 'Any') -> 'Callable[[Any], Any]':
        """Return a decorator that remembers what it wraps."""
        def decorated(wrapper: 'Any') -> 'Any':
            inner_functions[wrapper] = wrapped
            return wrapper
        return decorated
else:
    from microdot.cpython_helpers import (  # type: ignore[assignment] # noqa: F401
        decorations,
        inner_of,
        warn,
        warn_of_route,
        wraps,
    )


def guard(f: 'Callable[..., Any]', check: 'Callable[..., Any]', option: 'Any') -> 'Any':
    """Decorate a handler to be called if ``await check(request, option)`` is ``None``, else that is the response."""
    if not ON_MICROPYTHON:
        warn_of_route(f)
    call = prepare(f)

    @wraps(f)
    async def wrapper(request: 'Request', *args: 'Any', **kwargs: 'Any') -> 'Any':
        refusal = await check(request, option)
        return await call(request, *args, **kwargs) if refusal is None else refusal

    decorations[wrapper] = (lambda inner: guard(inner, check, option)), True
    return wrapper


def add_vary_later(request: 'Request', name: str) -> None:
    """Add a name to ``Vary`` of whatever response a request gets."""
    async def hook(request: 'Request', response: 'Response') -> None:
        add_vary(response, name)

    request.response_hooks += (hook,)


def add_vary(response: 'Response', name: str) -> None:
    """Add a name to the response's ``Vary`` (RFC 9110 section 12.5.5), unless that has it or is ``*``."""
    value = response.headers.get('Vary', [])
    names = ', '.join(value) if isinstance(value, list) else value
    if name.lower() not in tokens(names) and '*' not in tokens(names):
        response.headers['Vary'] = names + ', ' + name if names else name
