"""Logins: who a browser's user is, kept in the session, and in a cookie for those who want to be remembered."""
from microdot import signing
from microdot.forms import urlencode
from microdot.helpers import guard
from microdot.microdot import NOT_TARGET, Request, Response, prepare, redirect
from microdot.session import SessionDict, find_session

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.microdot import Request

PURPOSE = 'remember+jwt'  # so that the token is no session, and a session no such token
DAY = 24 * 60 * 60


class Login:
    """Logins of an application that has a :class:`microdot.session.Session`.

    :param login_url: where those who are not logged in are sent, with ``?next=`` and the URL that they asked for.

    ``@login`` below the decorator of a route is for users who are logged in, ``@login.fresh`` for those who gave their
    password in this session. The user is ``request.g.current_user``.

    """

    #: Name of the cookie of those who are remembered.
    cookie_name = '_remember'
    #: Days after which those who are remembered have to give their password again, however often they come.
    max_days = 365

    def __init__(self, login_url: str = '/login'):
        if not isinstance(login_url, str):
            raise TypeError('login_url is a str; the application is given to Session')
        self.login_url = login_url
        self.user_callback: 'Any' = None

    def user_loader(self, f: 'Callable[..., Any]') -> 'Callable[..., Any]':
        """Decorate ``f(user_id)``, which returns the user with this ``id``, or ``None``."""
        self.user_callback = prepare(f)
        return f

    async def get_current_user(self, request: 'Request') -> 'Any':
        """Return the user who is logged in, ``None`` if there is none. The user is loaded once for a request."""
        if not self.user_callback:
            raise RuntimeError('no function was decorated with user_loader')
        known = getattr(request.g, '_login', None)
        if not known or known[0] is not self:
            session = find_session(request).get(request)
            user_id = session.get('_user_id')
            user = await (self._recall(request, session) if user_id is None else self._load(user_id))
            known = request.g._login = self, user
        return known[1]

    async def _load(self, user_id: 'Any') -> 'Any':
        user = await self.user_callback(user_id)
        return None if user is False else user

    async def _recall(self, request: 'Request', session: SessionDict) -> 'Any':
        """Log in a user who is remembered, and remember the user for as many days again."""
        if self.cookie_name in getattr(request.g, '_cookies', ()):  # the request has logged somebody in or out
            return None
        sessions = find_session(request)
        claims = signing.verify(request.cookies.get(self.cookie_name, ''), sessions.secret_key, PURPOSE)
        if not claims or 'user_id' not in claims or not signing.now() - claims.get('since', 0) < self.max_days * DAY:
            return None
        user = await self._load(claims['user_id'])
        if user is not None:
            self._begin(session, claims['user_id'], False)
            days = claims.get('days')
            if type(days) is int and days > 0:
                self._remember(request, claims['user_id'], days, claims['since'])
        return user

    def _begin(self, session: SessionDict, user_id: 'Any', is_fresh: bool) -> None:
        """Make a session that of a user. What another one has left in it goes."""
        old = session.get('_user_id', session.get('_last_user_id', user_id))
        if old != user_id or type(old) is not type(user_id):  # True == 1
            session.clear()
        session.pop('_last_user_id', None)
        session['_user_id'] = user_id
        session['_fresh'] = is_fresh
        session.save()

    def _remember(self, request: 'Request', user_id: 'Any', days: int, since: 'int | None' = None) -> None:
        """Remember a user for so many days, or with 0 nobody any more."""
        sessions = find_session(request)
        token = ''
        if days > 0:
            now = int(signing.now())
            claims = {'user_id': user_id, 'days': days, 'exp': now + days * DAY,
                      'since': now if since is None else since}
            token = signing.sign(claims, sessions.secret_key, PURPOSE)
        sessions.send_cookie(request, self.cookie_name, token, days * DAY)

    async def login_user(self, request: 'Request', user: 'Any', remember: 'bool | int' = False,
                         redirect_url: str = '/') -> Response:
        """Log in a user whose password was right.

        :param user: has an ``id`` that JSON can express, and that is not ``None``.
        :param remember: the number of days to remember the user when the session has ended; ``True`` is 30.
        :param redirect_url: where to go if there is no ``next`` in the query string, or it leads to another site.

        Returns the redirection. The user is logged in with another response as well. ``ValueError`` for a user without
        an id, and days that are no ``int``.

        """
        if user.id is None or not isinstance(remember, (bool, int)):
            raise ValueError('the user has no id, or the days to remember are no int')
        self._begin(find_session(request).get(request), user.id, True)
        self._remember(request, user.id, 30 if remember is True else int(remember))
        request.g._login = self, user
        request.g.current_user = user
        target = request.args.get('next', '')
        return redirect(target if is_local(target) else redirect_url)

    async def logout_user(self, request: 'Request') -> None:
        """Log out the user, and do not remember the user any more."""
        session = find_session(request).get(request)
        user_id = session.pop('_user_id', None)
        session.pop('_fresh', None)
        if user_id is not None and session:
            session['_last_user_id'] = user_id  # for _begin(): the next user is not to get the rest
        session.save()
        self._remember(request, None, 0)
        request.g._login = self, None
        request.g.current_user = None

    def _login_url_for(self, request: 'Request') -> str:
        mark = '&' if '?' in self.login_url else '?'
        url = self.login_url + mark + 'next=' + urlencode(request.url).replace('%2F', '/')
        # the form has it in its URL and in its Referer, and may be refused if it is longer
        return url if len(url) <= Request.max_readline // 4 else self.login_url

    def __call__(self, f: 'Callable[..., Any]') -> 'Any':
        """Decorate a handler to be called for users who are logged in. Use it below the route's decorator."""
        return guard(f, self._check, False)

    def fresh(self, f: 'Callable[..., Any]') -> 'Any':
        """Decorate a handler to be called for users who have logged in in this session, and were not remembered."""
        return guard(f, self._check, True)

    async def _check(self, request: 'Request', must_be_fresh: bool) -> 'Response | None':
        user = await self.get_current_user(request)
        if user is None or must_be_fresh and find_session(request).get(request).get('_fresh') is not True:
            return redirect(self._login_url_for(request))
        request.g.current_user = user
        return None


def is_local(url: str) -> bool:
    """Tell whether a URL leads to the same site: an absolute path of printable ASCII.

    Browsers take ``//host`` and ``/\\\\host`` for other sites, and drop line breaks and tabs (WHATWG URL, section 4.4).

    """
    return url[:1] == '/' and url[1:2] != '/' and '\\' not in url and not NOT_TARGET.search(url)
