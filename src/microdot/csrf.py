"""Cross-site request forgery: other sites' pages must not make a browser act for its user here.

Browsers say themselves where a request comes from: ``Sec-Fetch-Site`` (W3C Fetch Metadata) and ``Origin`` (RFC 6454).

"""
import re

from microdot.helpers import add_vary_later, decorations, unwrap, warn_of_route, wraps
from microdot.microdot import ProtocolError, prepare

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.cors import CORS
    from microdot.microdot import Microdot, Request

SAFE_METHODS = ('GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY')  # RFC 9110 section 9.2.1
NAMES = ('Sec-Fetch-Site', 'Origin')


class CSRF:
    """Refuses requests that change something and come from pages of other sites, with a 403.

    :param app: the application; or call :meth:`initialize` with it later.
    :param cors: a :class:`microdot.cors.CORS`: the origins that it allows by name are allowed here, too.
    :param protect_all: whether all routes are protected, or only those with :meth:`protect`.
    :param allow_subdomains: whether pages of the same site, in its other subdomains, are allowed.

    """

    def __init__(self, app: 'Microdot | None' = None, cors: 'CORS | None' = None, protect_all: bool = True,
                 allow_subdomains: bool = False):
        self.cors = cors
        self.protect_all = protect_all
        self.allow_subdomains = allow_subdomains
        self.exempted: 'list[Any]' = []
        if app is not None:
            self.initialize(app)

    def initialize(self, app: 'Microdot', cors: 'CORS | None' = None) -> None:
        """Attach to an application."""
        if cors:
            self.cors = cors
        if self.protect_all:
            app.before_request(self._check_route)

    def exempt(self, f: 'Callable[..., Any]') -> 'Callable[..., Any]':
        """Decorate a handler that is not to be protected. Use it below the route's decorator."""
        self.exempted.append(f)
        if f in decorations:  # and what it is made into around an upgrade
            make, is_guard = decorations[f]
            decorations[f] = (lambda inner: self.exempt(make(inner))), is_guard
        return f

    def protect(self, f: 'Callable[..., Any]') -> 'Any':
        """Decorate a handler that is to be protected, if not all are. Use it below the route's decorator."""
        warn_of_route(f)
        call = prepare(f)

        @wraps(f)
        async def wrapper(request: 'Request', *args: 'Any', **kwargs: 'Any') -> 'Any':
            self.check(request)
            return await call(request, *args, **kwargs)

        decorations[wrapper] = self.protect, True
        return wrapper

    async def _check_route(self, request: 'Request') -> None:
        if request.method not in SAFE_METHODS and not [f for f in unwrap(request.route) if f in self.exempted]:
            self.check(request)

    def check(self, request: 'Request') -> None:
        """Raise what becomes a 403 if the request may come from a page of another site."""
        if request.method in SAFE_METHODS:
            return
        for name in NAMES:
            add_vary_later(request, name)
        if not self.is_allowed(request):
            raise ProtocolError(403)

    def is_allowed(self, request: 'Request') -> bool:
        """Tell whether a request comes from an own page, or from one that is trusted, or from no browser."""
        site = request.headers.get('Sec-Fetch-Site')
        origin = request.headers.get('Origin')
        if site is None and origin is None:
            return True  # a page cannot keep its browser from sending one of the two
        if site in ('same-origin', 'none') or site == 'same-site' and self.allow_subdomains:
            return True
        if origin is None or origin == 'null':  # the origin of all sandboxed frames
            return False
        if self.is_own(request, origin) or self.cors and self.cors.allows(origin):
            return True
        # where the browser has said that it is another site it knows better: github.io is not one
        return site is None and self.allow_subdomains and self.is_subdomain(request, origin)

    def is_own(self, request: 'Request', origin: str) -> bool:
        scheme, _, other = origin.partition('://')
        host = without_port(scheme, request.headers.get('Host', '').lower())
        return bool(host) and scheme == request.scheme and without_port(scheme, other) == host

    def is_subdomain(self, request: 'Request', origin: str) -> bool:
        """Tell whether an origin shares the site (WHATWG HTML, section 7.1.1): the scheme too, but not the port."""
        scheme, _, other = origin.partition('://')
        name, colon, port = other.partition(':')
        host = name_of(request.headers.get('Host', '').lower())
        if not host or scheme != request.scheme or NOT_NAME.search(name) or name[:1] == '.' or '..' in name:
            return False
        has_port = not colon or len(port) < 6 and port.encode().isdigit() and int(port) < 65536
        return has_port and name.endswith('.' + host)


NOT_NAME = re.compile('[^-._0-9a-z]')


def without_port(scheme: str, host: str) -> str:
    """Return a host without the port that goes without saying (RFC 9110 section 4.2.3)."""
    default = ':443' if scheme == 'https' else ':80'
    return host[:-len(default)] if host.endswith(default) else host


def name_of(host: str) -> str:
    """Return a host without its port."""
    return host if host[-1:] == ']' else host.rpartition(':')[0] or host
