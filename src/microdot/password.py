"""Passwords: hashes that are slow to guess and can be kept in a file or a database.

``python -m microdot.password`` asks for a password and prints its hash, also one for a board.

"""
import hashlib
import os
import time
from binascii import a2b_base64, b2a_base64

from microdot.microdot import ON_MICROPYTHON
from microdot.signing import is_equal

if ON_MICROPYTHON:
    from microdot.signing import hmac_of_pads, hmac_pads

if False:  # TYPE_CHECKING
    from collections.abc import Callable

#: Cost of scrypt on CPython, as OWASP recommends: 16 MB of memory, which is 128 * r * n, five times over.
SCRYPT = {'ln': 14, 'r': 8, 'p': 5}
#: Most memory that scrypt may take, in bytes: a hash from elsewhere may ask for more, and is not accepted then.
MAX_MEMORY = 65 * 1024 * 1024  # a little more than ln=16 takes, which is passlib's default
#: Seconds that a board is to take for a password; the number of rounds is measured once.
TARGET = 0.25
#: Rounds of PBKDF2 that no board goes below, and on CPython those that OWASP recommends.
MIN_ROUNDS = 5000 if ON_MICROPYTHON else 600_000
SALT_SIZE = 16

measured: 'list[int]' = []


def pbkdf2(password: bytes, salt: bytes, rounds: int) -> bytes:
    """Return the 32 bytes that PBKDF2 with HMAC-SHA256 derives (RFC 8018 section 5.2)."""
    if rounds < 1:
        raise ValueError('rounds')
    if hasattr(hashlib, 'pbkdf2_hmac'):
        return hashlib.pbkdf2_hmac('sha256', password, salt, rounds)
    pads = hmac_pads(password)
    block = hmac_of_pads(pads, salt + b'\0\0\0\1')
    result = int.from_bytes(block, 'big')
    for _ in range(rounds - 1):
        block = hmac_of_pads(pads, block)
        result ^= int.from_bytes(block, 'big')
    return result.to_bytes(32, 'big')


def scrypt(password: bytes, salt: bytes, ln: int, r: int, p: int) -> bytes:
    """Return the 32 bytes that scrypt derives (RFC 7914). CPython only."""
    if not 0 < ln < 32 or not hasattr(hashlib, 'scrypt'):
        raise ValueError('scrypt')
    return hashlib.scrypt(password, salt=salt, n=1 << ln, r=r, p=p, maxmem=MAX_MEMORY, dklen=32)


def default_rounds() -> int:
    """Return the rounds of PBKDF2 for a new hash: on MicroPython as many as it does in ``TARGET`` seconds."""
    if not ON_MICROPYTHON:
        return MIN_ROUNDS
    if not measured:
        start = time.ticks_us()  # type: ignore[attr-defined]
        pbkdf2(b'password', b'salt', 50)
        elapsed = max(time.ticks_diff(time.ticks_us(), start), 1)  # type: ignore[attr-defined]
        measured.append(max(MIN_ROUNDS, int(50 * TARGET * 1000000 / elapsed)))
    return measured[0]


def hash_password(password: str, method: 'str | None' = None, rounds: 'int | None' = None) -> str:
    """Return a hash with a salt of its own, in the format of passlib and others: ``$method$parameters$salt$hash``.

    It takes a fraction of a second. On CPython call it in a plain ``def`` handler, which runs in a thread, or with
    ``await asyncio.to_thread(hash_password, password)``.

    :param password: the password.
    :param method: ``'scrypt'``, the default on CPython, or ``'pbkdf2-sha256'``, the only one on MicroPython.
    :param rounds: rounds of PBKDF2, see :func:`default_rounds`.

    ``ValueError`` for a method that there is not, and for rounds that are none.

    """
    salt = os.urandom(SALT_SIZE)
    if method is None:
        method = 'pbkdf2-sha256' if rounds is not None or not hasattr(hashlib, 'scrypt') else 'scrypt'
    if method == 'scrypt' and rounds is None:
        derived = scrypt(password.encode(), salt, **SCRYPT)
        return '$scrypt$ln=%d,r=%d,p=%d$%s$%s' % (SCRYPT['ln'], SCRYPT['r'], SCRYPT['p'], encode(salt), encode(derived))
    if method != 'pbkdf2-sha256':
        raise ValueError('no such method, or no such rounds: ' + method)
    rounds = default_rounds() if rounds is None else rounds
    derived = pbkdf2(password.encode(), salt, rounds)
    return '$pbkdf2-sha256$%d$%s$%s' % (rounds, encode(salt, b'.'), encode(derived, b'.'))


def check_password(hash: str, password: str) -> bool:
    """Tell whether a password has this hash; ``False`` also for a hash that is malformed or for another interpreter.

    The time that it takes does not depend on where they differ. It is as long as that of :func:`hash_password`.

    """
    try:
        derive, salt, expected = parse_hash(hash)
        return is_equal(derive(password.encode(), salt), expected)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError):
        return False


def parse_hash(hash: str) -> 'tuple[Callable[[bytes, bytes], bytes], bytes, bytes]':
    """Return what derives, the salt and the expected result; ``ValueError`` and others for what is no hash."""
    empty, method, parameters, salt, expected = hash.split('$')
    if empty:
        raise ValueError
    if method == 'pbkdf2-sha256':
        rounds = to_number(parameters)
        return (lambda password, salt: pbkdf2(password, salt, rounds)), decode(salt), decode(expected)
    cost = {name: to_number(value) for name, value in [item.split('=') for item in parameters.split(',')]}
    if method != 'scrypt':
        raise ValueError
    return (lambda password, salt: scrypt(password, salt, **cost)), decode(salt), decode(expected)


def to_number(text: str) -> int:
    if not text.encode().isdigit():  # of bytes: ASCII digits only, and int() takes more than these
        raise ValueError('not a number')
    return int(text)


def needs_rehash(hash: str) -> bool:
    """Tell whether :func:`hash_password` would do better today: then call it when the password is known, at a login."""
    method, parameters = (hash.split('$') + ['', '', ''])[1:3]
    if hasattr(hashlib, 'scrypt'):
        return method != 'scrypt' or parameters != 'ln=%d,r=%d,p=%d' % (SCRYPT['ln'], SCRYPT['r'], SCRYPT['p'])
    # the measured rounds differ from time to time
    return method != 'pbkdf2-sha256' or not parameters.isdigit() or int(parameters) < default_rounds() // 2


def encode(data: bytes, plus: bytes = b'+') -> str:
    """Encode as base64 without padding, with the character that passlib has for the plus sign of a method."""
    return b2a_base64(data).rstrip(b'=\n').replace(b'+', plus).decode()


def decode(text: str) -> bytes:
    return a2b_base64(text.replace('.', '+') + '=' * (-len(text) % 4))


def main() -> None:
    """Ask for a password on the terminal and print its hash."""
    from argparse import ArgumentParser
    from getpass import getpass

    parser = ArgumentParser('python -m microdot.password', description='Print the hash of a password.')
    parser.add_argument('--board', action='store_true', help='a hash for MicroPython, with 10,000 rounds of PBKDF2')
    parser.add_argument('--rounds', type=int, help='rounds of PBKDF2: each takes a board a fraction of a millisecond')
    options = parser.parse_args()
    try:
        password = getpass()
        again = getpass('Again: ')
    except (EOFError, KeyboardInterrupt):
        parser.exit(1, '\n')
    if not password or password != again:
        parser.exit(1, 'They differ.\n' if password else 'It is empty.\n')
    print(hash_password(password, rounds=10000 if options.board and options.rounds is None else options.rounds))


if __name__ == '__main__':
    main()
