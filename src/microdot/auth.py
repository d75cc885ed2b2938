"""Authentication with each request: a name and a password (RFC 7617), or a token (RFC 6750)."""
import re
from binascii import a2b_base64, b2a_base64

from microdot.headers import check_headers
from microdot.helpers import add_vary_later, guard
from microdot.microdot import ProtocolError, Response, decode, make_response, prepare

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.microdot import Request


class Auth:
    """What the two classes share: a callback that finds the user, and the decorators of routes.

    The user is ``request.g.current_user`` in the handler.

    """

    header = 'Authorization'

    def __init__(self, scheme: str, challenge: str, error_status: int):
        check_headers({'WWW-Authenticate': challenge})
        self.scheme = scheme
        self.challenge = challenge
        self.error_status = error_status
        self.auth_callback: 'Any' = None
        self.error_callback: 'Any' = None

    def __call__(self, f: 'Callable[..., Any]') -> 'Any':
        """Decorate a handler to be called for authenticated requests only. Use it below the route's decorator."""
        return guard(f, self._check, False)

    def optional(self, f: 'Callable[..., Any]') -> 'Any':
        """Decorate a handler to be called in any case; without valid credentials the user is ``None``."""
        return guard(f, self._check, True)

    def authenticate(self, f: 'Callable[..., Any]') -> 'Callable[..., Any]':
        """Decorate the function that finds the user for credentials, or returns ``None`` if they are not valid."""
        self.auth_callback = prepare(f)
        return f

    def errorhandler(self, f: 'Callable[..., Any]') -> 'Callable[..., Any]':
        """Decorate ``f(request)`` to make the response to those who are not authenticated."""
        self.error_callback = prepare(f)
        return f

    async def _check(self, request: 'Request', is_optional: bool) -> 'Response | None':
        """Find the user; return or raise the response to those who are not authenticated, ``None`` for the others."""
        if not self.auth_callback:
            raise RuntimeError('no function was decorated with authenticate')
        add_vary_later(request, self.header)
        credentials = self._parse(request.headers.get(self.header, ''))
        user = await self.auth_callback(request, *credentials) if credentials else None
        if user is False:  # as of a function that returns what check_password() does
            user = None
        if user is not None or not hasattr(request.g, 'current_user'):  # another decorator may have found one
            request.g.current_user = user
        return None if is_optional or user is not None else await self._refuse(request)

    async def _refuse(self, request: 'Request') -> Response:
        """Return the response of the error handler, or raise what the application's error handlers answer."""
        if not self.error_callback:
            raise ProtocolError(self.error_status, {'WWW-Authenticate': self.challenge})
        response = make_response(await self.error_callback(request))
        if response.status_code == 401:  # RFC 9110 section 15.5.2
            response.headers.setdefault('WWW-Authenticate', self.challenge)
        return response

    def _parse(self, value: str) -> 'tuple[str, ...] | None':
        """Return the arguments for the callback after the request, ``None`` if the header has no credentials."""
        raise NotImplementedError


def split_credentials(value: str, scheme: str) -> str:
    """Return what follows the name of the scheme, ``''`` for another scheme (RFC 9110 section 11.4)."""
    name, _, rest = value.partition(' ')
    return rest.strip(' ') if name.lower() == scheme.lower() else ''


CONTROL = re.compile('[\x01-\x1f\x7f]')


class BasicAuth(Auth):
    """A name and a password with each request, which browsers ask for in a window of their own (RFC 7617).

    :param realm: what browsers show, and what the credentials are for.
    :param charset: what browsers encode the two with.
    :param scheme: name of the scheme; another one, such as ``'XBasic'``, keeps browsers from asking by themselves.
    :param error_status: status code without valid credentials.

    The function decorated with :meth:`authenticate` is ``f(request, username, password)``.

    """

    def __init__(self, realm: str = 'Please login', charset: str = 'UTF-8', scheme: str = 'Basic',
                 error_status: int = 401):
        text = realm.replace('\\', '\\\\').replace('"', '\\"')
        super().__init__(scheme, '%s realm="%s", charset="%s"' % (scheme, text, charset), error_status)

    def _parse(self, value: str) -> 'tuple[str, ...] | None':
        data = split_credentials(value, self.scheme)
        try:
            raw = a2b_base64(data)
        except ValueError:
            return None
        if b2a_base64(raw).rstrip(b'\n') != data.encode():  # which has accepted other spellings (RFC 4648 section 3)
            return None
        text = decode(raw)
        name, colon, password = text.partition(':')
        if not colon or '\0' in text or CONTROL.search(text):  # RFC 7617 section 2
            return None
        return name, password


class TokenAuth(Auth):
    """A token with each request (RFC 6750).

    :param header: the header that it comes in.
    :param scheme: name of the scheme before the token, only for ``header='Authorization'``; in another header the
                   token is the whole value.
    :param error_status: status code without a valid token.

    The function decorated with :meth:`authenticate` is ``f(request, token)``.

    """

    def __init__(self, header: str = 'Authorization', scheme: str = 'Bearer', error_status: int = 401):
        super().__init__(scheme, scheme, error_status)
        self.header = header

    def _parse(self, value: str) -> 'tuple[str, ...] | None':
        token = split_credentials(value, self.scheme) if self.header.lower() == 'authorization' else value
        return (token,) if token else None
