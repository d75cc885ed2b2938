"""A part of the core: the cookies of responses (RFC 6265 section 4.1)."""
from microdot.headers import check_headers
from microdot.microdot import NOT_TOKEN, ON_MICROPYTHON, Response

if False:  # TYPE_CHECKING
    from typing import Any


def set_cookie(self: Response, cookie: str, value: str, path: 'str | None' = None, domain: 'str | None' = None,
               expires: 'Any' = None, max_age: 'int | None' = None, secure: bool = False, http_only: bool = False,
               partitioned: bool = False, same_site: 'str | None' = None) -> None:
    """Add a ``Set-Cookie`` header (RFC 6265 section 4.1).

    :param expires: a formatted date, or on CPython a ``datetime`` (UTC where it has no time zone).
    :param max_age: seconds.
    :param same_site: ``'Lax'``, ``'Strict'`` or ``'None'``.

    ``ValueError`` for a line break, NUL or semicolon in any of them.

    """
    if hasattr(expires, 'utctimetuple') and not ON_MICROPYTHON:
        from microdot.cpython import http_date

        expires = http_date(expires.utctimetuple())
    text = '%s=%s' % (cookie, value)
    if ';' in text or not cookie or NOT_TOKEN.search(cookie):  # browsers read "=a=b" as a cookie named "a"
        raise ValueError('; in a cookie, or its name is not a token')
    for name, attribute in (('Path', path), ('Domain', domain), ('Expires', expires), ('Max-Age', max_age),
                            ('Secure', bool(secure)), ('HttpOnly', bool(http_only)),
                            ('Partitioned', bool(partitioned)), ('SameSite', same_site)):
        if attribute is True:
            text += '; ' + name
        elif attribute is not None and attribute is not False:
            if ';' in str(attribute):
                raise ValueError('; in the %s of a cookie' % name)
            text += '; %s=%s' % (name, attribute)
    check_headers({'Set-Cookie': text})
    others = self.headers.get('Set-Cookie', [])  # perhaps a list that other responses share
    self.headers['Set-Cookie'] = (others if isinstance(others, list) else [others]) + [text]


def delete_cookie(self: Response, cookie: str, **kwargs: 'Any') -> None:
    """Make the browser forget a cookie; ``path`` and ``domain`` as they were when it was set."""
    set_cookie(self, cookie, '', expires='Thu, 01 Jan 1970 00:00:01 GMT', max_age=0, **kwargs)
