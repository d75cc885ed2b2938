"""Signed tokens: JSON Web Tokens (RFC 7519) with HS256 (RFC 7518 section 3.2). No other module signs.

They are signed, not encrypted: who has a token can read it, but not change it.

"""
import hashlib
import json
import re
import time
from binascii import a2b_base64, b2a_base64

from microdot.microdot import ON_MICROPYTHON

if ON_MICROPYTHON:
    def hmac_pads(key: bytes) -> 'tuple[bytes, bytes]':
        """Return what :func:`hmac_of_pads` needs of a key."""
        if len(key) > 64:
            key = hashlib.sha256(key).digest()
        key = key + bytes(64 - len(key))
        return bytes([byte ^ 0x36 for byte in key]), bytes([byte ^ 0x5c for byte in key])

    def hmac_of_pads(pads: 'tuple[bytes, bytes]', message: bytes) -> bytes:
        return hashlib.sha256(pads[1] + hashlib.sha256(pads[0] + message).digest()).digest()

    def hmac_sha256(key: bytes, message: bytes) -> bytes:
        """Return the message authentication code of RFC 2104."""
        return hmac_of_pads(hmac_pads(key), message)

    def is_equal(a: bytes, b: bytes) -> bool:
        """Compare in a time that does not depend on where the two differ; it may on their lengths."""
        difference = len(a) ^ len(b)
        for x, y in zip(a, b):
            difference |= x ^ y
        return not difference
else:
    from hmac import compare_digest, digest

    def hmac_sha256(key: bytes, message: bytes) -> bytes:
        return digest(key, message, 'sha256')

    def is_equal(a: bytes, b: bytes) -> bool:
        return compare_digest(a, b)

if False:  # TYPE_CHECKING
    from typing import Any

    Keys = str | bytes | list[str] | list[bytes]

#: Where a board's time counts from the year 2000, what is missing to the time that tokens count (RFC 7519 section 2).
EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0
NOT_BASE64 = re.compile('[^-_0-9A-Za-z]')
#: Claims whose type RFC 7519 section 4.1 prescribes, besides the three times.
STRINGS = ('iss', 'sub', 'jti')
TIMES = ('exp', 'nbf', 'iat')
#: Seconds that the clock of who issued a token may be ahead.
MAX_SKEW = 60


def now() -> float:
    """Return the seconds since 1970, as tokens count them."""
    return time.time() + EPOCH


def to_keys(secret: 'Keys | None') -> 'list[bytes]':
    """Return secret keys as a list of ``bytes``; ``ValueError`` if there is none, or an empty one."""
    keys: 'list[Any]' = [key.encode() if isinstance(key, str) else key
                         for key in (secret if isinstance(secret, (list, tuple)) else [secret])]
    for key in keys or [None]:
        if not key or not isinstance(key, bytes):
            raise ValueError('a secret key is needed, str or bytes: long, random, and the same after a restart')
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
        raise ValueError('%r has a meaning in tokens, and another type (RFC 7519 section 4.1)' % name)
    message = b'%s.%s' % (encode(to_json({'alg': 'HS256', 'typ': purpose})), encode(to_json(payload)))
    return (message + b'.' + encode(hmac_sha256(to_keys(secret)[0], message))).decode()


def verify(token: str, secret: 'Keys', purpose: str = 'JWT') -> 'dict[str, Any] | None':
    """Return the claims of a token, ``None`` if it is not valid: forged, expired, malformed, for another purpose.

    :param token: what the client sent.
    :param secret: the key, or a list of keys: those that tokens are accepted from.
    :param purpose: see :func:`sign`; a token without one is a ``'JWT'``.

    """
    parts = token.split('.')
    if len(parts) != 3 or NOT_BASE64.search(''.join(parts)):
        return None
    message = (parts[0] + '.' + parts[1]).encode()
    try:
        signature = decode(parts[2])
        if not is_signed(message, signature, to_keys(secret)):
            return None
        header = json.loads(decode(parts[0]).decode())  # only now: nobody else can have written it
        claims = json.loads(decode(parts[1]).decode())
    except (ValueError, RuntimeError):  # malformed, nested too deeply
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    if header.get('alg') != 'HS256' or 'crit' in header or 'b64' in header:  # RFC 7515 section 4.1.11
        return None
    kind = header.get('typ', 'JWT')
    if not isinstance(kind, str) or kind.lower() != purpose.lower() or find_invalid(claims):
        return None
    return claims if is_current(claims) else None


def is_signed(message: bytes, signature: bytes, keys: 'list[bytes]') -> bool:
    """Tell whether one of the keys has signed this; all are tried, so that the time does not tell which one."""
    found = False
    for key in keys:
        found = is_equal(hmac_sha256(key, message), signature) or found
    return found


def find_invalid(claims: 'dict[str, Any]') -> str:
    """Return the name of a claim that has not the type that RFC 7519 section 4.1 says, ``''`` if there is none."""
    for name in STRINGS:
        if name in claims and not isinstance(claims[name], str):
            return name
    for name in TIMES:
        if name in claims and type(claims[name]) not in (int, float):  # True is an int
            return name
    return 'aud' if 'aud' in claims else ''  # we are nobody's named audience (section 4.1.3)


def is_current(claims: 'dict[str, Any]') -> bool:
    """Tell whether the token has begun to be valid, and has not ended yet. Nothing is true of not-a-number."""
    t = now()
    return bool(t < claims.get('exp', t + 1) and t >= claims.get('nbf', t) and t >= claims.get('iat', t) - MAX_SKEW)


def encode(data: bytes) -> bytes:
    """Encode as base64url without padding (RFC 7515 section 2)."""
    return b2a_base64(data).rstrip(b'=\n').replace(b'+', b'-').replace(b'/', b'_')


def decode(text: str) -> bytes:
    """Decode base64url; ``ValueError`` for a text that :func:`encode` does not give."""
    data = a2b_base64(text.replace('-', '+').replace('_', '/') + '=' * (-len(text) % 4))
    if encode(data) != text.encode():
        raise ValueError('not canonical')
    return data


def to_json(value: 'Any') -> bytes:
    """Return JSON in the same bytes on all interpreters, but for the last digit of some ``float``.

    Keys are sorted, there are no spaces, and only what has to be is escaped.

    """
    return render(value).encode()


def render(value: 'Any') -> str:
    if isinstance(value, dict):
        names = {name if isinstance(name, str) else render(name): item for name, item in value.items()}
        return '{' + ','.join([render(name) + ':' + render(names[name]) for name in sorted(names)]) + '}'
    if isinstance(value, (list, tuple)):
        return '[' + ','.join([render(item) for item in value]) + ']'
    if isinstance(value, str):
        text = value.replace('\\', '\\\\').replace('"', '\\"')
        return '"' + ''.join([c if ' ' <= c < '\ud800' or c > '\udfff' else '\\u%04x' % ord(c) for c in text]) + '"'
    if isinstance(value, float) and (value != value or value in (float('inf'), float('-inf'))):  # RFC 8259 section 6
        raise ValueError('JSON cannot express %s' % value)
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise TypeError('JSON cannot express a %s, in a session or a token' % type(value).__name__)
