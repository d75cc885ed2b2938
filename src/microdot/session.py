"""Sessions: what the application remembers of a client, in a signed cookie that the client keeps."""
import re

from microdot import signing
from microdot.helpers import add_vary_later, decorations, warn, wraps
from microdot.microdot import ON_MICROPYTHON, Response, prepare

if ON_MICROPYTHON:
    RequestDict = dict
else:
    from microdot.cpython_helpers import RequestDict

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.microdot import Microdot, Request

# bytes: browsers drop a cookie silently that has more than 4096 (RFC 6265 section 6.1); a board refuses header lines of
# 2 KB, and there may be another cookie
MAX_SIZE = 1500 if ON_MICROPYTHON else 4000


class SessionDict(RequestDict):  # type: ignore[type-arg]
    """The session of a request: a dictionary of what JSON can express, with text as keys.

    Changes reach the client with :meth:`save`, not before.

    """

    def __init__(self, request: 'Request', session_dict: 'dict[str, Any] | None' = None):
        super().__init__(session_dict or {})
        self.request = request

    def save(self) -> None:
        """Send the session as it is now to the client, with whatever response the request gets; ``ValueError`` and
        ``TypeError`` as in :meth:`Session.update`.

        """
        find_session(self.request).update(self.request, self)

    def delete(self) -> None:
        """Make the client forget its session, with whatever response the request gets."""
        find_session(self.request).delete(self.request)


class Session:
    """The sessions of an application and of those that are mounted on it.

    :param app: the application; or call :meth:`initialize` with it later.
    :param secret_key: what the cookies are signed with, ``str`` or ``bytes``: long, random, and the same after a
                       restart. Who knows it can be anybody. Of a list of keys the first signs, and all are accepted.
    :param cookie_options: arguments of :meth:`Response.set_cookie`, by default ``path='/'``, ``http_only=True`` and
                           ``same_site='Lax'``. A ``max_age``, in seconds, is enforced by the server too.

    ``ValueError`` without a secret key, and for options that no cookie can have.

    """

    #: Name of the cookie. ``'__Host-session'``, together with ``secure``, is one that other subdomains cannot set.
    cookie_name = 'session'

    def __init__(self, app: 'Microdot | None' = None, secret_key: 'signing.Keys | None' = None,
                 cookie_options: 'dict[str, Any] | None' = None):
        self.secret_key: 'Any' = secret_key
        self.cookie_options = cookie_options or {}
        if app is not None:
            self.initialize(app)

    def initialize(self, app: 'Microdot', secret_key: 'signing.Keys | None' = None,
                   cookie_options: 'dict[str, Any] | None' = None) -> None:
        """Attach to an application; the other parameters are those of the class."""
        self.secret_key = signing.to_keys(self.secret_key if secret_key is None else secret_key)
        options: 'dict[str, Any]' = {'path': '/', 'http_only': True, 'same_site': 'Lax'}
        options.update(self.cookie_options if cookie_options is None else cookie_options)
        Response().set_cookie(self.cookie_name, '', **options)  # mistakes should show now
        self.max_age = options.pop('max_age', None)
        if self.max_age is not None and type(self.max_age) is not int:
            raise ValueError('max_age is an int')
        self.cookie_options = options
        if min(map(len, self.secret_key)) < 32:
            warn('a secret key should have 32 bytes (RFC 7518 section 3.2)')
        app._session = self  # type: ignore[attr-defined]

    def get(self, request: 'Request') -> SessionDict:
        """Return the session of a request, empty if there is none or its cookie is not valid."""
        session = getattr(request.g, '_session', None)
        if session is None:
            session = SessionDict(request, self.decode(request.cookies.get(self.cookie_name, '')))
            if self.max_age is not None:
                rest = session.pop('exp', 0) - signing.now()
                if not 0 < rest <= self.max_age + signing.MAX_SKEW:
                    session.clear()  # it was made with a larger limit, or none; or a board's clock has fallen back
            request.g._session = session
            add_vary_later(request, 'Cookie')
        return session

    def update(self, request: 'Request', session: 'dict[str, Any]') -> None:
        """Send a session to the client; make it forget the one that it has if this one is empty.

        ``TypeError`` for what JSON cannot express, ``ValueError`` for more than browsers keep in a cookie.

        """
        if not session:
            self.delete(request)
            return
        payload = session.copy()
        if self.max_age is not None:
            payload['exp'] = int(signing.now()) + self.max_age
        token = self.encode(payload)
        if len(token) > MAX_SIZE:
            raise ValueError('a session of %d bytes, at most %d' % (len(token), MAX_SIZE))
        self.send_cookie(request, self.cookie_name, token, self.max_age)

    def delete(self, request: 'Request') -> None:
        """Make the client forget its session."""
        request.g._session = SessionDict(request)  # what is read or saved from now on is another one
        self.send_cookie(request, self.cookie_name, '', 0)

    def send_cookie(self, request: 'Request', name: str, value: str, max_age: 'int | None') -> None:
        """Set a cookie with whatever response the request gets, with the options of the session's; or delete it.

        :param value: ``''`` to delete the cookie.
        :param max_age: seconds, ``None`` until the browser is closed.

        """
        cookies = getattr(request.g, '_cookies', None)
        if cookies is None:
            cookies = request.g._cookies = {}
            request.response_hooks += (self._finish,)
        cookies[name] = value, max_age

    def encode(self, payload: 'dict[str, Any]', secret_key: 'signing.Keys | None' = None) -> str:
        """Return a signed token."""
        return signing.sign(payload, secret_key or self.secret_key)

    def decode(self, token: str, secret_key: 'signing.Keys | None' = None) -> 'dict[str, Any]':
        """Return what is in a token, an empty dictionary if it is not valid."""
        return signing.verify(token, secret_key or self.secret_key) or {}

    async def _finish(self, request: 'Request', response: Response) -> Response:
        """Return the response with the cookies, which a cache might give to others then (RFC 9111 section 7.3)."""
        if type(response) is Response:  # a copy, since the application may return the same one to everybody
            response = Response(response.body, response.status_code, response.headers, response.reason)
        control = response.headers.get('Cache-Control', '')
        if not re.search('public|private|no-store|no-cache|s-maxage', control.lower()):
            response.headers['Cache-Control'] = control + ', private' if control else 'private'
        for name, (value, max_age) in request.g._cookies.items():
            options = dict(self.cookie_options)
            if value:
                response.set_cookie(name, value, max_age=max_age, **options)
            else:
                options.pop('expires', None)
                response.delete_cookie(name, **options)
        return response


def find_session(request: 'Request') -> Session:
    """Return the sessions of the application that serves a request; ``RuntimeError`` if it has none."""
    session = getattr(request.app, '_session', None) or getattr(request.subapp, '_session', None)
    if not session:
        raise RuntimeError('the application has no Session')
    return session  # type: ignore[no-any-return]


def with_session(f: 'Callable[..., Any]') -> 'Any':
    """Give a handler the session of its request: it is called as ``f(request, session, **args)``.

    Use it below the decorator of the route.

    """
    call = prepare(f)

    @wraps(f)
    async def wrapper(request: 'Request', *args: 'Any', **kwargs: 'Any') -> 'Any':
        return await call(request, find_session(request).get(request), *args, **kwargs)

    decorations[wrapper] = with_session, False
    return wrapper
