"""Cross-site request forgery: other sites' pages must not make a browser act for its user here.

Browsers say themselves where a request comes from: ``Sec-Fetch-Site`` (W3C Fetch Metadata) and ``Origin`` (RFC 6454).

"""
import re

from microdot.helpers import add_vary_later, decorations, guard, inner_of
from microdot.microdot import ProtocolError

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.cors import CORS
    from microdot.microdot import Microdot, Request


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
        self.cors = cors or self.cors
        if self.protect_all:
            app.before_request(self._check)

    def exempt(self, f: 'Callable[..., Any]') -> 'Callable[..., Any]':
        """Decorate a handler that is not to be protected. Use it below the route's decorator."""
        self.exempted.append(f)
        if f in decorations:  # and what it is made into around an upgrade
            make, is_guard = decorations[f]
            decorations[f] = (lambda inner: self.exempt(make(inner))), is_guard
        return f

    def protect(self, f: 'Callable[..., Any]') -> 'Any':
        """Decorate a handler that is to be protected, if not all are. Use it below the route's decorator."""
        return guard(f, self._check, True)

    async def _check(self, request: 'Request', always: bool = False) -> None:
        f = None if always else request.route
        while f:
            if f in self.exempted:
                return
            f = inner_of(f)
        self.check(request)

    def check(self, request: 'Request') -> None:
        """Raise what becomes a 403 if the request may come from a page of another site."""
        if request.method not in ('GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY'):  # the safe ones: RFC 9110 section 9.2.1
            add_vary_later(request, 'Sec-Fetch-Site')
            add_vary_later(request, 'Origin')
            if not self.is_allowed(request):
                raise ProtocolError(403)

    def is_allowed(self, request: 'Request') -> bool:
        """Tell whether a request comes from an own page, or from one that is trusted, or from no browser."""
        site = request.headers.get('Sec-Fetch-Site')
        origin = request.headers.get('Origin')
        if site in ('same-origin', 'none') or site == 'same-site' and self.allow_subdomains:
            return True
        if origin is None:
            return site is None  # a page cannot keep its browser from sending one of the two
        scheme, _, other = origin.partition('://')  # "null", the origin of all sandboxed frames, has no "://"
        host = request.headers.get('Host', '').lower()
        if scheme == request.scheme and without_port(scheme, other) == without_port(scheme, host) != '':
            return True
        if self.cors and origin != 'null' and self.cors.allows(origin):
            return True
        # where the browser has said that it is another site it knows better: github.io is not one
        return site is None and self.allow_subdomains and scheme == request.scheme and is_below(other, host)


def without_port(scheme: str, host: str) -> str:
    """Return a host without the port that goes without saying (RFC 9110 section 4.2.3)."""
    default = ':443' if scheme == 'https' else ':80'
    return host[:-len(default)] if host.endswith(default) else host


def is_below(origin: str, host: str) -> bool:
    """Tell whether an origin, without its scheme, shares the site (WHATWG HTML, section 7.1.1) but not the host."""
    name, _, port = origin.partition(':')
    host = host.partition(':')[0]  # of an address in brackets, which has no subdomains, "[" remains
    if not host or not name.endswith('.' + host) or '..' in name or len(port) > 5:
        return False
    # lazy repetitions: MicroPython takes no stack for each character then
    return (re.match('^[-_0-9a-z][-._0-9a-z]*?(:[0-9]+?)?$', origin) is not None
            and int(port or 0) < 65536)
