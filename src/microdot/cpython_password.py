"""What :mod:`microdot.password` does on CPython only: scrypt, and asking on a terminal."""
import hashlib

if False:  # TYPE_CHECKING
    from collections.abc import Callable

#: Cost of scrypt, as OWASP recommends: 16 MB of memory, which is 128 * r * n, five times over.
SCRYPT = {'ln': 14, 'r': 8, 'p': 5}
#: Most memory that scrypt may take, in bytes: a hash from elsewhere may ask for more, and is not accepted then.
MAX_MEMORY = 65 * 1024 * 1024  # a little more than ln=16 takes, which is passlib's default
#: Rounds of PBKDF2 that OWASP recommends.
MIN_ROUNDS = 600_000

PARAMETERS = ','.join([f'{name}={value}' for name, value in SCRYPT.items()])


def pbkdf2(password: bytes, salt: bytes, rounds: int) -> bytes:
    """Return the 32 bytes that PBKDF2 with HMAC-SHA256 derives (RFC 8018 section 5.2)."""
    return hashlib.pbkdf2_hmac('sha256', password, salt, rounds)


def scrypt(password: bytes, salt: bytes, ln: int, r: int, p: int) -> bytes:
    """Return the 32 bytes that scrypt derives (RFC 7914)."""
    if not 0 < ln < 32 or not hasattr(hashlib, 'scrypt'):
        raise ValueError('scrypt')
    return hashlib.scrypt(password, salt=salt, n=1 << ln, r=r, p=p, maxmem=MAX_MEMORY, dklen=32)


def default_rounds() -> int:
    """Return the rounds of PBKDF2 for a new hash."""
    return MIN_ROUNDS


def derive(method: str, parameters: str, password: bytes, salt: bytes) -> bytes:
    """Return what a hash ends with; ``ValueError`` and others for a method or parameters that there are not."""
    from microdot.password import to_number

    if method == 'pbkdf2-sha256':
        return pbkdf2(password, salt, to_number(parameters))
    cost = {name: to_number(value) for name, value in [item.split('=') for item in parameters.split(',')]}
    if method != 'scrypt':
        raise ValueError('no such method')
    return scrypt(password, salt, **cost)


def hash_by_scrypt(password: bytes, salt: bytes) -> str:
    """Return a hash in the format of passlib."""
    from microdot.password import encode

    parts = [encode(data).replace('.', '+') for data in (salt, scrypt(password, salt, **SCRYPT))]
    return '$'.join(['', 'scrypt', PARAMETERS, *parts])


#: ``None`` where Python was built without scrypt.
hash_with_scrypt: 'Callable[[bytes, bytes], str] | None' = hash_by_scrypt if hasattr(hashlib, 'scrypt') else None


def needs_rehash(hash: str) -> bool:
    """Tell whether :func:`hash_password` would do better today: then call it when the password is known, at a login."""
    method, parameters = (hash.split('$') + ['', '', ''])[1:3]
    if hash_with_scrypt:
        return method != 'scrypt' or parameters != PARAMETERS
    return method != 'pbkdf2-sha256' or not parameters.isdigit() or int(parameters) < MIN_ROUNDS // 2


def main() -> None:
    """Ask for a password on the terminal and print its hash."""
    from argparse import ArgumentParser
    from getpass import getpass

    from microdot.password import hash_password

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
