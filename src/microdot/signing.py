"""Signed tokens: JSON Web Tokens (RFC 7519) with HS256 (RFC 7518 section 3.2). No other module signs.

They are signed, not encrypted: who has a token can read it, but not change it.

"""
import json
import time
from binascii import a2b_base64, b2a_base64

from microdot.microdot import ON_MICROPYTHON

if ON_MICROPYTHON:
    try:
        from hashlib import sha256
    except ImportError:  # CircuitPython
        from hashlib import new  # portable: missing-name: CircuitPython has it

        def sha256(data: bytes = b'') -> 'Any':  # type: ignore[misc]
            return new('sha256', data)

    def keyed_hmac(key: bytes) -> 'Callable[[bytes], bytes]':
        """Return the function that makes message authentication codes with a key (RFC 2104)."""
        if len(key) > 64:
            key = sha256(key).digest()
        key = key + bytes(64 - len(key))
        inner = bytes([byte ^ 0x36 for byte in key])
        outer = bytes([byte ^ 0x5c for byte in key])
        return lambda message: sha256(outer + sha256(inner + message).digest()).digest()

    def is_equal(a: bytes, b: bytes) -> bool:
        """Compare in a time that does not depend on where the two differ; it may on their lengths."""
        difference = len(a) ^ len(b)
        for x, y in zip(a, b):
            difference |= x ^ y
        return not difference
else:
    from microdot.cpython_helpers import is_equal, keyed_hmac

try:
    from time import gmtime
except ImportError:  # CircuitPython, whose clock has no zone
    from time import localtime as gmtime

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    Keys = str | bytes | list[str] | list[bytes]

#: Where a board's time counts from the year 2000, what is missing to the time that tokens count (RFC 7519 section 2).
EPOCH = 946684800 if gmtime(0)[0] == 2000 else 0
#: Seconds that the clock of who issued a token may be ahead.
MAX_SKEW = 60


def now() -> float:
    """Return the seconds since 1970, as tokens count them."""
    return time.time() + EPOCH


def to_keys(secret: 'Keys | None') -> 'list[bytes]':
    """Return secret keys as a list of ``bytes``; ``ValueError`` if there is none, or an empty one."""
    keys = []
    secrets = secret if isinstance(secret, (list, tuple)) else [secret]
    for key in secrets or [None]:
        key = key.encode() if isinstance(key, str) else key
        if not key or not isinstance(key, bytes):
            raise ValueError('a secret key is needed, str or bytes: long, random, and the same after a restart')
        keys.append(key)
    return keys


def sign(payload: 'dict[str, Any]', secret: 'Keys', purpose: str = 'JWT') -> str:
    """Return a signed token.

    :param payload: the claims, of the types that JSON has. The same payload gives the same token on all interpreters,
                    but for the last digit of some ``float``.
    :param secret: the key, or a list of keys, the first of which signs.
    :param purpose: what the token is for, its header ``typ`` (RFC 8725 section 3.11). The default is that of sessions:
                    give tokens of your own another, else they are sessions, and sessions such tokens.

    ``ValueError`` if a claim that RFC 7519 defines has another type than there, as nobody would accept the token;
    ``TypeError`` for what JSON cannot express.

    """
    name = find_invalid(payload)
    if name:
        raise ValueError('%r in a token has another type (RFC 7519 section 4.1)' % name)
    message = encode(render({'alg': 'HS256', 'typ': purpose}).encode()) + b'.' + encode(render(payload).encode())
    return (message + b'.' + encode(keyed_hmac(to_keys(secret)[0])(message))).decode()


def verify(token: str, secret: 'Keys', purpose: str = 'JWT') -> 'dict[str, Any] | None':
    """Return the claims of a token, ``None`` if it is not valid: forged, expired, malformed, for another purpose.

    :param token: what the client sent.
    :param secret: the key, or a list of keys: those that tokens are accepted from.
    :param purpose: see :func:`sign`; a token without one is a ``'JWT'``.

    """
    try:
        message, _, signature = token.rpartition('.')
        if not is_signed(message.encode(), decode(signature), to_keys(secret)):
            return None
        header, claims = [json.loads(decode(part).decode()) for part in message.split('.')]
    except (ValueError, RuntimeError):  # malformed, nested too deeply
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    if header.get('alg') != 'HS256' or 'crit' in header or 'b64' in header:  # RFC 7515 section 4.1.11
        return None
    kind = header.get('typ', 'JWT')
    if not isinstance(kind, str) or kind.lower() != purpose.lower() or find_invalid(claims):
        return None
    t = now()  # nothing is true of not-a-number
    is_current = t < claims.get('exp', t + 1) and t >= claims.get('nbf', t) and t >= claims.get('iat', t) - MAX_SKEW
    return claims if is_current else None


def is_signed(message: bytes, signature: bytes, keys: 'list[bytes]') -> bool:
    """Tell whether one of the keys has signed this; all are tried, so that the time does not tell which one."""
    found = False
    for key in keys:
        found = is_equal(keyed_hmac(key)(message), signature) or found
    return found


def find_invalid(claims: 'dict[str, Any]') -> str:
    """Return the name of a claim that has not the type that RFC 7519 section 4.1 says, ``''`` if there is none."""
    for name in claims:
        value = claims[name]
        is_text = name not in ('iss', 'sub', 'jti') or isinstance(value, str)
        is_time = name not in ('exp', 'nbf', 'iat') or type(value) in (int, float)  # True is an int
        if not is_text or not is_time or name == 'aud':  # we are nobody's named audience (section 4.1.3)
            return name
    return ''


def encode(data: bytes) -> bytes:
    """Encode as base64url without padding (RFC 7515 section 2)."""
    return b2a_base64(data).rstrip(b'=\n').replace(b'+', b'-').replace(b'/', b'_')


def decode(text: str) -> bytes:
    """Decode base64url; ``ValueError`` for a text that :func:`encode` does not give."""
    data = a2b_base64(text.replace('-', '+').replace('_', '/') + '=' * (-len(text) % 4))
    if encode(data) != text.encode():
        raise ValueError
    return data


def render(value: 'Any') -> str:
    """Return JSON, the same on all interpreters, but for the last digit of some ``float``.

    Keys are sorted, there are no spaces, and only what has to be is escaped.

    """
    if isinstance(value, dict):
        names = {name if isinstance(name, str) else render(name): value[name] for name in value}
        return '{' + ','.join([render(name) + ':' + render(names[name]) for name in sorted(names)]) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ','.join(map(render, value)) + ']'
    if isinstance(value, str):
        text = value.replace('\\', '\\\\').replace('"', '\\"')
        return '"' + ''.join([c if ' ' <= c < '\ud800' or c > '\udfff' else '\\u%04x' % ord(c) for c in text]) + '"'
    if not (value is None or isinstance(value, (bool, int, float))):
        raise TypeError('JSON cannot express %s' % type(value))
    if value and value * 0 != 0:  # not a number, infinity (RFC 8259 section 6)
        raise ValueError('JSON cannot express %r' % value)
    return json.dumps(value)
