"""Makes tokens of all kinds, valid ones and others, and has URLs. Works on CPython and on MicroPython.

Nothing here uses the code under test to judge it.

"""
import hashlib
import json
from binascii import b2a_base64

HEADER = '{"alg":"HS256","typ":"JWT"}'
KEY = b'a key for tests, longer than 32 bytes'  # RFC 7518 section 3.2
BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
#: What may happen to a character on its way; some of it is no character of a token, or none of ASCII.
JUNK = BASE64URL + '.=+/ %"\\;,\0\n\x7f\xe9\u0391'


def key(name):
    """Return a key that is long enough."""
    return (name + ', longer than 32 bytes as it has to be').encode()


def encode(data):
    """Encode text or bytes as base64url without padding (RFC 4648 section 5)."""
    data = data.encode() if isinstance(data, str) else data
    return b2a_base64(data).decode().rstrip('=\n').replace('+', '-').replace('/', '_')


def hmac(key, message):
    """HMAC-SHA256 by the definition in RFC 2104."""
    key = hashlib.sha256(key).digest() if len(key) > 64 else key
    key += bytes(64 - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in key]) + message).digest()
    return hashlib.sha256(bytes([byte ^ 0x5c for byte in key]) + inner).digest()


def forge(claims, header=HEADER, key=KEY):
    """Return a token with a signature that is right for a key, whatever the two parts say."""
    parts = [part if isinstance(part, (str, bytes)) else json.dumps(part) for part in (header, claims)]
    message = encode(parts[0]) + '.' + encode(parts[1])
    return message + '.' + encode(hmac(key, message.encode()))


class Dice:
    """Numbers that look random, and are the same on all interpreters."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 1103515245 + 12345) % (1 << 31)
        return (self.state >> 8) % n

    def pick(self, items):
        return items[self.below(len(items))]


def mutations(token, count, seed=1, alphabet=JUNK):
    """Yield tokens that differ from one in something: characters, order, length."""
    dice = Dice(seed)
    while count:
        mutated = mutate(token, dice, alphabet)
        if mutated != token:
            count -= 1
            yield mutated


def mutate(token, dice, alphabet):
    kind = dice.below(10)
    at = dice.below(len(token))
    if kind < 3:
        return token[:at] + dice.pick(alphabet) + token[at + 1:]
    if kind == 3:
        return token[:at] + token[at + 1 + dice.below(3):]
    if kind == 4:
        return token[:at] + dice.pick(alphabet) + token[at:]
    if kind == 5:
        return token[:at]
    if kind == 6:
        return token + ''.join([dice.pick(alphabet) for _ in range(1 + dice.below(4))])
    parts = token.split('.')
    if kind == 7:
        parts[dice.below(3)] = parts[dice.below(3)]
    elif kind == 8:
        part = dice.below(3)
        parts[part] = ''.join([dice.pick(alphabet) for _ in parts[part]])
    else:
        other = token[at - 1:at]
        return token[:at] + (other.lower() if other.upper() == other else other.upper()) + token[at + 1:]
    return '.'.join(parts)


#: Where a redirection must not lead: to another site, or to nowhere that a browser knows (WHATWG URL, section 4.4).
HOSTILE_URLS = (
    'http://evil.example', 'http://evil.example/', 'https://evil.example/path', 'HTTP://EVIL.EXAMPLE/',
    'hTTp://evil.example',
    'ftp://evil.example/', 'ws://evil.example/', '//evil.example', '//evil.example/', '//evil.example/%2e%2e',
    '///evil.example', '////evil.example', '/////evil.example', '//evil.example:80/', '//user@evil.example/',
    '//user:pass@evil.example/', '//site.example@evil.example/', '//[::1]/', '//127.0.0.1/', '//0x7f000001/',
    '//2130706433', '//evil.example?/', '//evil.example#/', '//%65vil.example/', '//evil\u3002example/',
    '//\u2460.example',
    '\\\\evil.example', '\\/evil.example', '/\\evil.example', '/\\/evil.example', '\\\\\\evil.example',
    '\\evil.example',
    '/\\\\evil.example', '/a\\..\\..\\/evil.example',
    '/\t/evil.example', '/\n/evil.example', '/\r/evil.example', '/\r\n/evil.example', '\t//evil.example',
    '\n//evil.example',
    '/\t\\evil.example', ' //evil.example', '\x0b//evil.example', '\x0c//evil.example', '\x00//evil.example',
    '/\x00/evil.example', '\x1f//evil.example', '\x7f//evil.example', '\xa0//evil.example', '\u2028//evil.example',
    '\ufeff//evil.example', '/ /evil.example', ' http://evil.example', 'ht\ntp://evil.example', 'http\t://evil.example',
    'http:evil.example', 'http:/evil.example', 'http:///evil.example', 'http:////evil.example', 'http:\\\\evil.example',
    'http:\\evil.example', 'https:evil.example', 'https:/evil.example', 'http://site.example@evil.example/',
    'http://site.example\\@evil.example/', 'http://site.example#@evil.example/', 'http://evil.example#site.example',
    'http://evil.example?site.example', 'http://site.example.evil.example/', 'http://evil.example\\.site.example',
    'javascript:alert(1)', 'JavaScript:alert(1)', 'java\nscript:alert(1)', '\tjavascript:alert(1)',
    'javascript://site.example/%0aalert(1)',
    'data:text/html,<script>alert(1)</script>', 'vbscript:x', 'blob:http://site.example/x', 'file:///etc/passwd',
    'mailto:a@evil.example', 'about:blank', 'evil.example', 'evil.example/', '@evil.example', '.evil.example',
    '?next=//evil.example',
    '#//evil.example', './/evil.example', '..//evil.example', 'x', '', ' ', '.', '..', '*',
    '/path\r\nSet-Cookie: a=b', '/path\nX-Evil: 1', '/path\r\n\r\n<script>', '/path\0', '/path\x01', '/path\x7f',
    '/a b',
    '/a#b', '/\xe9', '/\u2044/evil.example', '/\uff0fevil.example', '/\u2215evil.example', '\uff0f\uff0fevil.example',
    '\u2044\u2044evil.example', '\xff', '/\xff',
)
#: Where it may lead, and what a browser makes of it.
LOCAL_URLS = (
    '/', '/a', '/a/b', '/a?b=c', '/a?b=c&d=%2F%2Fe', '/a?url=http://evil.example/', '/a//b', '/a?//evil.example',
    '/%2F/evil.example',
    '/%5Cevil.example', '/%5cevil.example', '/%2fevil.example', '/.//evil.example', '/..//evil.example',
    '/./\x25\x32\x65/x', '/a/..//evil.example',
    '/%09/evil.example', '/%0a/evil.example', '/%0d%0aX-Evil:1', '/%00', '/@evil.example', '/:80', '/a:b@c',
    '/;//evil.example', '/?', '/??',
    '/http://evil.example', '/~', "/'", '/(a)', '/<script>', '/"x"', '/%', '/%zz', '/[::1]', '/{x}', '/|', '/^', '/`',
    '/\x25E2\x2582\x25AC',
)
