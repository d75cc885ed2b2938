"""Cross-origin resource sharing: which pages of other sites may use an application (WHATWG Fetch, section 3.3)."""
from microdot.helpers import add_vary, warn

if False:  # TYPE_CHECKING
    from typing import Any

    from microdot.microdot import Microdot, Request, Response


class CORS:
    """Adds the headers that let pages of other origins read responses.

    :param app: the application; or call :meth:`initialize` with it later.
    :param allowed_origins: list of origins such as ``'https://example.com'``, or ``'*'`` for all.
    :param allow_credentials: whether cookies and the like may come with the requests.
    :param allowed_methods: list of methods, by default all.
    :param expose_headers: list of response headers that pages may read, besides the harmless ones.
    :param allowed_headers: list of request headers that pages may send, by default all.
    :param max_age: seconds that browsers may remember the answer to a preflight request.
    :param handle_cors: ``False`` to only have :meth:`get_cors_headers`.

    """

    def __init__(self, app: 'Microdot | None' = None, allowed_origins: 'Any' = None, allow_credentials: bool = False,
                 allowed_methods: 'list[str] | None' = None, expose_headers: 'list[str] | None' = None,
                 allowed_headers: 'list[str] | None' = None, max_age: 'int | None' = None, handle_cors: bool = True):
        self.allowed_origins = to_list(allowed_origins)
        self.allow_credentials = allow_credentials
        self.allowed_methods = None if allowed_methods is None else [name.upper() for name in to_list(allowed_methods)]
        self.expose_headers = to_list(expose_headers)
        self.allowed_headers = None if allowed_headers is None else [name.lower() for name in to_list(allowed_headers)]
        self.max_age = max_age
        if allow_credentials and '*' in (self.allowed_origins or ()):
            warn('CORS: "*" does not go together with credentials: list the origins')
        if app is not None:
            self.initialize(app, handle_cors)

    def initialize(self, app: 'Microdot', handle_cors: bool = True) -> None:
        """Attach to an application."""
        if not handle_cors:
            return
        self.default_options_handler = app.options_handler
        app.options_handler = self.options_handler
        app.after_request(self.after_request)
        app.after_error_request(self.after_request)

    def options_handler(self, request: 'Request') -> 'dict[str, str]':
        """Return the headers of an automatic response to ``OPTIONS``: to a preflight request, most often."""
        headers = self.default_options_handler(request)
        headers.update(self.get_cors_headers(request))
        return headers

    async def after_request(self, request: 'Request | None', response: 'Response') -> None:
        if not request:
            return
        for name, value in self.get_cors_headers(request).items():
            if name == 'Vary':
                add_vary(response, value)
            else:
                response.headers[name] = value

    def allows(self, origin: str) -> bool:
        """Tell whether an origin is one of those that are allowed by name."""
        return bool(self.allowed_origins) and origin != '*' and origin in self.allowed_origins

    def get_cors_headers(self, request: 'Request') -> 'dict[str, str]':
        """Return the headers for the response to a request, ``Vary`` among them."""
        origin = request.headers.get('Origin')
        headers = self._origin_headers(origin)
        if 'Access-Control-Allow-Origin' not in headers:
            return headers
        if request.method == 'OPTIONS' and 'Access-Control-Request-Method' in request.headers:
            self._add_preflight_headers(request, headers)
        elif self.expose_headers:
            headers['Access-Control-Expose-Headers'] = ', '.join(self.expose_headers)
        return headers

    def _origin_headers(self, origin: 'str | None') -> 'dict[str, str]':
        if not self.allowed_origins:
            return {}
        if '*' in self.allowed_origins:
            if self.allow_credentials:
                return {'Access-Control-Allow-Origin': '*'}  # which browsers refuse together with credentials
            return {'Access-Control-Allow-Origin': origin or '*', 'Vary': 'Origin'}
        if origin is None or not self.allows(origin):
            return {'Vary': 'Origin'}
        headers = {'Access-Control-Allow-Origin': origin, 'Vary': 'Origin'}
        if self.allow_credentials:
            headers['Access-Control-Allow-Credentials'] = 'true'
        return headers

    def _add_preflight_headers(self, request: 'Request', headers: 'dict[str, str]') -> None:
        method = request.headers['Access-Control-Request-Method']
        if self.allowed_methods is None or method in self.allowed_methods:
            headers['Access-Control-Allow-Methods'] = method
        asked = request.headers.get('Access-Control-Request-Headers', '')
        names = [name.strip(' \t') for name in asked.split(',')]
        allowed = [name for name in names
                   if name and (self.allowed_headers is None or name.lower() in self.allowed_headers)]
        if allowed:
            headers['Access-Control-Allow-Headers'] = ', '.join(allowed)
        if self.max_age is not None:
            headers['Access-Control-Max-Age'] = str(self.max_age)


def to_list(value: 'Any') -> 'Any':
    """Return a list of one item for the item itself: what is in a ``str`` are its characters."""
    return [value] if isinstance(value, str) else value
