"""Hashes of passwords: their format, what is no hash, and known results."""
from binascii import b2a_base64, unhexlify

from helpers import ON_MICROPYTHON, changed, raises
from microdot import password as module
from microdot.password import check_password, default_rounds, hash_password, needs_rehash, pbkdf2

ROUNDS = 20  # enough for what is tested here
#: Password, salt, rounds, and 32 bytes: RFC 7914 section 11, and the inputs of RFC 6070 with SHA-256.
PBKDF2 = (
    (b'passwd', b'salt', 1, '55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc'),
    (b'Password', b'NaCl', 80000, '4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56'),
    (b'password', b'salt', 1, '120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b'),
    (b'password', b'salt', 2, 'ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43'),
    (b'password', b'salt', 4096, 'c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a'),
)
#: Password, salt, ln, r, p, and the first 32 bytes: RFC 7914 section 12.
SCRYPT = (
    ('', b'', 4, 1, 1, '77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442'),
    ('password', b'NaCl', 10, 8, 16, 'fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162'),
    ('pleaseletmein', b'SodiumChloride', 14, 8, 1, '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2'),
)
#: From the documentation of passlib; the password is "password".
OF_PASSLIB = '$pbkdf2-sha256$6400$0ZrzXitFSGltTQnBWOsdAw$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M'
OF_PASSLIB_SCRYPT = '$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E'
PASSWORDS = ('', ' ', 'a', 'secret', 'Secret', 'x' * 63, 'x' * 64, 'x' * 65, 'x' * 1000, 'p\xe4ss', '\u20ac\U0001f600',
             'a\0b', 'a\0',
             '$', ':', '\n', 'a' * 64 + '\xfc', '0')


def encode(data, plus='+'):
    return b2a_base64(data).decode().rstrip('=\n').replace('+', plus)


def test_known_results_of_pbkdf2():
    for password, salt, rounds, expected in PBKDF2:
        if not ON_MICROPYTHON or rounds < 5000:
            assert pbkdf2(password, salt, rounds).hex() == expected
            hash = '$pbkdf2-sha256$%d$%s$%s' % (rounds, encode(salt, '.'), encode(unhexlify(expected), '.'))
            assert check_password(hash, password.decode())
            assert not check_password(hash, password.decode() + 'x')


def test_known_results_of_scrypt():
    for password, salt, ln, r, p, expected in SCRYPT:
        hash = '$scrypt$ln=%d,r=%d,p=%d$%s$%s' % (ln, r, p, encode(salt), encode(unhexlify(expected)))
        assert check_password(hash, password) == (not ON_MICROPYTHON)
        assert not check_password(hash, password + 'x')
        assert not check_password(hash.replace('scrypt', 'md5'), password)
        if not ON_MICROPYTHON:
            assert module.scrypt(password.encode(), salt, ln, r, p).hex() == expected


def test_hashes_of_passlib():
    assert check_password(OF_PASSLIB, 'password')
    assert not check_password(OF_PASSLIB, 'Password')
    assert check_password(OF_PASSLIB_SCRYPT, 'password') == (not ON_MICROPYTHON)
    assert not check_password(OF_PASSLIB_SCRYPT, 'Password')


def test_passwords():
    hashes = [hash_password(password, rounds=ROUNDS) for password in PASSWORDS]
    for hash, password in zip(hashes, PASSWORDS):
        for other in PASSWORDS:
            # a known property of HMAC: a short key is filled up with zeros
            is_same = password.rstrip('\0') == other.rstrip('\0') and len(password) <= 64
            assert check_password(hash, other) == (password == other or is_same), (password, other)


def test_the_format():
    for method in ('pbkdf2-sha256',) if ON_MICROPYTHON else ('pbkdf2-sha256', 'scrypt'):
        hash = hash_password('secret', method, ROUNDS if method == 'pbkdf2-sha256' else None)
        empty, name, parameters, salt, derived = hash.split('$')
        assert (empty, name) == ('', method)
        assert parameters == (str(ROUNDS) if method == 'pbkdf2-sha256' else 'ln=14,r=8,p=5')
        assert (len(salt), len(derived)) == (22, 43)  # of 16 and 32 bytes
        for char in salt + derived:
            assert char in 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/' + (
                '.' if method == 'pbkdf2-sha256' else '+')
        assert 'secret' not in hash and ':' not in hash and ' ' not in hash  # fits into files with lines and columns
        assert check_password(hash, 'secret')
        assert not check_password(hash, 'Secret')


def test_every_hash_has_its_own_salt():
    hashes = [hash_password('secret', rounds=1) for _ in range(50)]
    for part in 3, 4:
        assert len(set([hash.split('$')[part] for hash in hashes])) == 50


def test_the_default():
    hash = hash_password('secret')
    assert hash.startswith('$pbkdf2-sha256$' if ON_MICROPYTHON else '$scrypt$ln=14,r=8,p=5$')
    assert check_password(hash, 'secret')
    assert not needs_rehash(hash)
    assert default_rounds() == default_rounds() >= module.MIN_ROUNDS
    if ON_MICROPYTHON:
        assert hash.split('$')[2] == str(default_rounds())


def test_rounds_are_measured_on_boards():
    if ON_MICROPYTHON:
        module.measured.clear()
        with changed(module, TARGET=0.001):
            assert default_rounds() == module.MIN_ROUNDS >= 1000  # never fewer
        module.measured.clear()


def test_what_cannot_be_hashed():
    for args in ('secret', 'md5'), ('secret', 'bcrypt'), ('secret', ''), ('secret', 'SCRYPT'):
        with raises(ValueError):
            hash_password(*args)
    with raises(ValueError):
        hash_password('secret', rounds=-1)
    if ON_MICROPYTHON:
        with raises(ValueError):
            hash_password('secret', 'scrypt')
    for password in None, 7, ['secret']:
        with raises(AttributeError):
            hash_password(password)


def test_what_is_no_hash():
    right = hash_password('secret', rounds=ROUNDS)
    _, method, rounds, salt, derived = right.split('$')
    assert check_password(right, 'secret')
    for hash in (None, 7, b'', right.encode(), [], '', '$', '$$', '$$$', '$$$$', '$$$$$', 'secret', '*', '!', 'x' * 60,
                 right[1:],
                 'x' + right, right + '$', right + '$x', '$' + right, right.replace('$', ':'), right.upper(),
                 ' ' + right,
                 '$pbkdf2-sha256$%s$%s' % (rounds, salt), '$pbkdf2-sha256$%s$%s$' % (rounds, salt),
                 '$pbkdf2-sha256$$%s$%s' % (salt, derived),
                 '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW',
                 '$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA', '$1$salt$hash', 'pbkdf2:sha256:1$salt$hash',
                 'scrypt:1:1:1$a$b',
                 '$scrypt$' + '$'.join([salt, derived]), '$scrypt$$%s$%s' % (salt, derived)):
        assert not check_password(hash, 'secret'), hash
    for other in 'pbkdf2', 'pbkdf2-sha1', 'pbkdf2-sha512', 'PBKDF2-SHA256', 'pbkdf2_sha256', 'scrypt', '', 'md5':
        assert not check_password('$%s$%s$%s$%s' % (other, rounds, salt, derived), 'secret'), other
    for other in ('0', '-1', '+20', ' 20', '20 ', '2_0', '20.0', '2e1', '0x14', '\u0662\u0660', '21', '19', 'x', '',
                  '20\n',
                  'None', 'rounds=20',
                  '20' * 20 * (not ON_MICROPYTHON)):  # where there is no limit, it would just be slow
        assert not check_password('$%s$%s$%s$%s' % (method, other, salt, derived), 'secret'), other
    for part in '', 'A', salt[:-1], salt + 'A', salt + 'AAAA', derived[:-2], derived + 'AAA', '=', '*':
        assert not check_password('$%s$%s$%s$%s' % (method, rounds, part, derived), 'secret'), part
        assert not check_password('$%s$%s$%s$%s' % (method, rounds, salt, part), 'secret'), part
    for password in None, 7, b'secret', ['secret']:
        assert not check_password(right, password)


def test_parameters_of_scrypt_that_nobody_can_compute():
    for parameters in ('', 'ln', 'ln=', 'ln=4', 'ln=4,r=1', 'r=1,p=1', 'ln=4,r=1,p=1,x=1', 'ln=0,r=8,p=1',
                       'ln=-4,r=1,p=1',
                       'ln=x,r=1,p=1', 'ln=4,r=0,p=1', 'ln=4,r=1,p=0', 'ln=4,r=-1,p=1', 'ln=30,r=8,p=1',
                       'ln=70,r=8,p=1',
                       'ln=1000000000000,r=1,p=1', 'ln=4,r=1000000000000,p=1', 'ln=4,r=1,p=1000000000000',
                       'ln=4,r=1,p=1,',
                       'ln=4;r=1;p=1', 'ln=4, r=1, p=1', 'LN=4,R=1,P=1', 'ln=4=4,r=1,p=1', 'ln=1_0,r=1,p=1',
                       'ln=+4,r=1,p=1'):
        hash = '$scrypt$%s$%s$%s' % (parameters, encode(b'salt'), encode(bytes(32)))
        assert not check_password(hash, 'secret'), parameters
        assert needs_rehash(hash)


def test_needs_rehash():
    salt, derived = encode(bytes(16)), encode(bytes(32))
    for method, parameters, on_cpython, on_micropython in (
            ('scrypt', 'ln=14,r=8,p=5', False, True), ('scrypt', 'ln=13,r=8,p=5', True, True),
            ('scrypt', 'ln=14,r=8,p=1', True, True), ('pbkdf2-sha256', '1', True, True),
            ('pbkdf2-sha256', '999999999', True, False), ('pbkdf2-sha256', 'x', True, True), ('md5', '1', True, True)):
        expected = on_micropython if ON_MICROPYTHON else on_cpython
        assert needs_rehash('$%s$%s$%s$%s' % (method, parameters, salt, derived)) == expected, (method, parameters)
    for hash in '', '$', 'nonsense', '$scrypt', '$pbkdf2-sha256', '$pbkdf2-sha256$':
        assert needs_rehash(hash), hash
