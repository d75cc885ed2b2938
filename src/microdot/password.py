"""Passwords: hashes that are slow to guess and can be kept in a file or a database.

``python -m microdot.password`` asks for a password and prints its hash, also one for a board.

"""
import os
import time
from binascii import a2b_base64, b2a_base64

from microdot.microdot import ON_MICROPYTHON
from microdot.signing import is_equal

SALT_SIZE = 16

if ON_MICROPYTHON:
    from microdot.signing import keyed_hmac

    #: Seconds that a board is to take for a password; the number of rounds is measured once.
    TARGET = 0.25
    #: Rounds that no board goes below.
    MIN_ROUNDS = 5000

    measured: 'list[int]' = []

    def pbkdf2(password: bytes, salt: bytes, rounds: int) -> bytes:
        """Return the 32 bytes that PBKDF2 with HMAC-SHA256 derives (RFC 8018 section 5.2)."""
        if rounds < 1:
            raise ValueError
        hmac = keyed_hmac(password)
        block = hmac(salt + b'\0\0\0\1')
        result = int.from_bytes(block, 'big')
        for _ in range(rounds - 1):
            block = hmac(block)
            result ^= int.from_bytes(block, 'big')
        return result.to_bytes(32, 'big')

    def measure_rounds() -> int:  # portable: missing-name: called where they are
        start = time.ticks_us()  # type: ignore[attr-defined]
        pbkdf2(b'', b'', 50)
        elapsed = max(time.ticks_diff(time.ticks_us(), start), 1)  # type: ignore[attr-defined]
        return max(MIN_ROUNDS, int(50 * TARGET * 1000000 / elapsed))

    def default_rounds() -> int:
        """Return the rounds of PBKDF2 for a new hash: on MicroPython as many as it does in ``TARGET`` seconds."""
        if not measured:
            measured.append(measure_rounds() if hasattr(time, 'ticks_us') else MIN_ROUNDS)  # not on CircuitPython
        return measured[0]

    def derive(method: str, parameters: str, password: bytes, salt: bytes) -> bytes:
        """Return what a hash ends with; ``ValueError`` for a method or parameters that there are not."""
        if method != 'pbkdf2-sha256':
            raise ValueError
        return pbkdf2(password, salt, to_number(parameters))

    def needs_rehash(hash: str) -> bool:
        """Tell whether :func:`hash_password` would do better today: then call it at a login, with the password."""
        method, rounds = (hash.split('$') + ['', '', ''])[1:3]
        # the measured rounds differ from time to time
        return method != 'pbkdf2-sha256' or not rounds.isdigit() or int(rounds) < default_rounds() // 2

    hash_with_scrypt = None
else:
    from microdot.cpython_password import (  # type: ignore[assignment] # noqa: F401
        MIN_ROUNDS,
        default_rounds,
        derive,
        hash_with_scrypt,
        needs_rehash,
        pbkdf2,
        scrypt,
    )


def hash_password(password: str, method: 'str | None' = None, rounds: 'int | None' = None) -> str:
    """Return a hash with a salt of its own, in the format of passlib and others: ``$method$parameters$salt$hash``.

    It takes a fraction of a second. On CPython call it in a plain ``def`` handler, which runs in a thread, or with
    ``await asyncio.to_thread(hash_password, password)``.

    :param password: the password.
    :param method: ``'scrypt'``, the default on CPython, or ``'pbkdf2-sha256'``, the only one on MicroPython.
    :param rounds: rounds of PBKDF2; by default 600,000 on CPython, and what a board does in a quarter of a second.

    ``ValueError`` for a method that there is not, and for rounds that are none.

    """
    salt = os.urandom(SALT_SIZE)
    if hash_with_scrypt and rounds is None and method in (None, 'scrypt'):
        return hash_with_scrypt(password.encode(), salt)
    if method not in (None, 'pbkdf2-sha256'):
        raise ValueError('no such method, or no such rounds: %s' % method)
    rounds = default_rounds() if rounds is None else rounds
    return '$pbkdf2-sha256$%d$%s$%s' % (rounds, encode(salt), encode(pbkdf2(password.encode(), salt, rounds)))


def check_password(hash: str, password: str) -> bool:
    """Tell whether a password has this hash; ``False`` also for a hash that is malformed or for another interpreter.

    The time that it takes does not depend on where they differ. It is as long as that of :func:`hash_password`.

    """
    try:
        empty, method, parameters, salt, expected = hash.split('$')
        derived = derive(method, parameters, password.encode(), decode(salt))
        return not empty and is_equal(derived, decode(expected))
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError):
        return False


def to_number(text: str) -> int:
    if not text.encode().isdigit():  # of bytes: ASCII digits only, and int() takes more than these
        raise ValueError
    return int(text)


def encode(data: bytes) -> str:
    """Encode as base64 without padding, with the dot that passlib has for the plus sign."""
    return b2a_base64(data).rstrip(b'=\n').replace(b'+', b'.').decode()


def decode(text: str) -> bytes:
    return a2b_base64(text.replace('.', '+') + '=' * (-len(text) % 4))


if __name__ == '__main__':
    from microdot.cpython_password import main  # portable: missing-module: a command of CPython
    main()
