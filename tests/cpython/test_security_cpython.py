"""Signatures, passwords and redirections, compared with what others wrote; what they cost, and what they tell."""
import functools
import json
import os
import pty
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import ada_url
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from passlib.hash import pbkdf2_sha256, scrypt
from server_process import INTERPRETERS

from forgery import HEADER, HOSTILE_URLS, LOCAL_URLS, encode, forge, hmac, mutations
from microdot import Microdot, signing
from microdot.auth import BasicAuth
from microdot.login import Login, is_local
from microdot.password import check_password, hash_password
from microdot.session import Session
from microdot.sse import with_sse
from microdot.websocket import with_websocket

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / 'src'
KEY = b'a key of thirty-two bytes or more'
ENVIRONMENT = {**os.environ, 'PYTHONPATH': str(SOURCE), 'MICROPYPATH': f'{SOURCE}:.frozen'}


# ---------------------------------------------------------------------------------------------------------------
# Tokens: the same decisions as PyJWT, but for the differences below
# ---------------------------------------------------------------------------------------------------------------

#: Why we decide otherwise than PyJWT: a word in the name of the case, the one who accepts, and the reason.
DIFFERENCES = {
    'purpose': ('pyjwt',
                'the type is another one than ours: explicit typing, RFC 8725 section 3.11; PyJWT leaves it alone'),
    'utf16': ('pyjwt', 'RFC 7519 section 7.2, steps 4 and 10: UTF-8, and nothing else'),
    'bom': ('pyjwt', 'RFC 8259 section 8.1: a parser may refuse a byte order mark'),
    'crit-understood': ('pyjwt', 'RFC 7515 section 4.1.11: we understand no extension, so that we accept none'),
    'b64-true': ('pyjwt', 'RFC 7797 section 6: "b64" without "crit" is for those who know it; we know none'),
    'kid-type': ('us', 'RFC 7515 section 4.1.4 wants a text; we have no use for it, and do not look'),
    'padded': ('pyjwt', 'RFC 7515 section 2: base64url without padding; PyJWT takes what some issuers send'),
    'iss-type': ('pyjwt', 'RFC 7519 section 4.1.1: a text; PyJWT looks only if somebody asks for one'),
    'numeric-text': ('pyjwt', 'RFC 7519 section 2: a NumericDate is a number, neither a text nor true'),
    'empty-aud': ('pyjwt',
                  'RFC 7519 section 4.1.3: whoever does not identify itself with a value in it must refuse it'),
    'infinite': ('us', 'what 1e999 is does not matter, but the far future has not passed'),
    'skew': ('us', 'a clock may be ahead by 60 seconds; RFC 7519 section 4.1.6 does not even ask to look at "iat"'),
}


def token_of(header=HEADER, claims='{"a":1}', key=KEY):
    return forge(claims, header, key)


def header_cases():
    for alg in ('HS256', 'hs256', 'HS384', 'HS512', 'RS256', 'ES256', 'none', 'None', 'NONE', 'nOnE', '', 'HS256 '):
        yield 'alg ' + alg, token_of(f'{{"alg":"{alg}","typ":"JWT"}}')
        yield 'only alg ' + alg, token_of(f'{{"alg":"{alg}"}}')
    for value in '1', 'null', 'true', '[]', '["HS256"]', '{}', '{"HS256":1}':
        yield 'alg is ' + value, token_of(f'{{"alg":{value},"typ":"JWT"}}')
    for kind in 'jwt', 'Jwt', 'JWT':
        yield 'type ' + kind, token_of(f'{{"alg":"HS256","typ":"{kind}"}}')
    for kind in '"JOSE"', '"remember+jwt"', '"at+jwt"', '""', 'null', '1', '[]', '"JWT "':
        yield 'purpose ' + kind, token_of(f'{{"alg":"HS256","typ":{kind}}}')
    for value in '["b64"]', '["x"]', '["exp"]', '[]', 'null', '"b64"', '{}', 'true', '[1]', '["alg"]', '["b64","b64"]':
        yield 'crit ' + value, token_of(f'{{"alg":"HS256","crit":{value}}}')
        yield 'crit with b64 ' + value, token_of(f'{{"alg":"HS256","crit":{value},"b64":false}}')
    yield 'crit-understood', token_of('{"alg":"HS256","crit":["b64"],"b64":true}')
    yield 'b64-true', token_of('{"alg":"HS256","b64":true}')
    yield 'b64 false', token_of('{"alg":"HS256","b64":false}')
    for value in '"1"', '""':
        yield 'kid ' + value, token_of(f'{{"alg":"HS256","kid":{value}}}')
    for value in '1', 'null', '[]':
        yield 'kid-type ' + value, token_of(f'{{"alg":"HS256","kid":{value}}}')
    for name in 'jku', 'jwk', 'x5u', 'x5c', 'cty', 'zip', 'x':
        yield 'header ' + name, token_of(f'{{"alg":"HS256","{name}":"http://evil.example/"}}')
    for text in ('', '{}', '[]', 'null', '1', '"HS256"', '{"alg":"HS256"', '{"alg":"HS256"}}', '{"alg":"HS256",}',
                 "{'alg':'HS256'}",
                 '{"ALG":"HS256"}', ' {"alg" : "HS256"} ', '{"alg":"\\u0048S256"}', '{"alg":"none","alg":"HS256"}',
                 '{"alg":"HS256","alg":"none"}', '{"typ":"JWT"}',
                 '{"alg":"HS256","x":' + '[' * 100_000 + ']' * 100_000 + '}'):
        yield 'header ' + text[:40], token_of(text)
    for coding in 'utf-16', 'utf-16-le', 'utf-32':
        yield 'utf16 header ' + coding, token_of(HEADER.encode(coding))
        yield 'utf16 claims ' + coding, token_of(claims='{"a":1}'.encode(coding))
    yield 'bom header', token_of(b'\xef\xbb\xbf' + HEADER.encode())
    yield 'bom claims', token_of(claims=b'\xef\xbb\xbf{}')
    yield 'latin-1', token_of(b'{"alg":"HS256","x":"\xfc"}')


def claim_cases():
    now = int(time.time())
    for text in ('{}', '[]', '1', 'null', '"a"', '', '{"a":1', '{"a":1}}', '{"a":1,}', '{a:1}', '{"a":01}', '{"a":.5}',
                 '{"a":+1}',
                 '{"a":"\n"}', '{"a":"\\u00fc\\n"}', '{"a":1,"a":2}', ' {"a":\t1}\r\n', '{"a":tru}', '{"a" 1}',
                 '{"a":NaN}',
                 '{"a":Infinity}', '{"\\u0000":0}', '{"a":' + '[' * 100_000 + ']' * 100_000 + '}',
                 '{"a":' + '9' * 5000 + '}'):
        yield 'claims ' + text[:40], token_of(claims=text)
    yield 'claims latin-1', token_of(claims=b'{"a":"\xfc"}')
    for name in 'exp', 'nbf', 'iat':
        for value in 'null', '[]', '{}', '""', '"x"', '"1.5"', '[1]', 'NaN', f'"{now}x"':
            yield f'{name} {value}', token_of(claims=f'{{"{name}":{value}}}')
        for seconds in -10**9, -3600, -120, 120, 3600, 10**9:
            yield f'{name} {seconds}', token_of(claims={name: now + seconds})
            yield f'{name} {seconds}.5', token_of(claims={name: now + seconds + 0.5})
        for value in 0, -1, 1 << 70, -(1 << 70), -1e300, 1e300:
            yield f'{name} is {value}', token_of(claims={name: value})
        is_future_good = name == 'exp'
        good = now + (3600 if is_future_good else -3600)
        yield f'numeric-text {name}', token_of(claims={name: str(good)})
        if not is_future_good:
            yield f'numeric-text {name} is true', token_of(claims={name: True})
            yield f'numeric-text {name} is false', token_of(claims={name: False})
        yield f'{name} twice', token_of(claims=f'{{"{name}":{good},"{name}":{2 * now - good}}}')
    yield 'infinite exp', token_of(claims='{"exp":1e999}')
    for name in 'nbf', 'iat':
        yield f'infinite {name}', token_of(claims=f'{{"{name}":-1e999}}')
        yield f'never {name}', token_of(claims=f'{{"{name}":1e999}}')
    yield 'skew', token_of(claims={'iat': now + 40})
    for name in 'sub', 'jti', 'iss':
        yield f'{name} text', token_of(claims={name: 'x'})
        for value in None, 1, True, [], {}, ['x'], 1.5:
            yield f'{"iss-type" if name == "iss" else name} {value}', token_of(claims={name: value})
    for value in 'me', ['me'], ['me', 'you'], 1, {'a': 1}:
        yield f'aud {value}', token_of(claims={'aud': value})
    for value in '', [], None, 0, {}, False:
        yield f'empty-aud {value}', token_of(claims={'aud': value})


def signature_cases():
    token = token_of()
    header, claims, signature = token.split('.')
    raw = hmac(KEY, f'{header}.{claims}'.encode())
    for end in 0, 1, 2, 8, 16, 20, 31:
        yield f'cut to {end}', f'{header}.{claims}.{encode(raw[:end])}'
    for more in b'\0', b'\xff', raw, bytes(16), b'x' * 32:
        yield f'extended by {more[:2]!r} {len(more)}', f'{header}.{claims}.{encode(raw + more)}'
    for bit in range(256):
        flipped = raw[:bit // 8] + bytes([raw[bit // 8] ^ 1 << bit % 8]) + raw[bit // 8 + 1:]
        yield f'bit {bit}', f'{header}.{claims}.{encode(flipped)}'
    for key in b'', b'x', KEY[:-1], KEY + b'x', KEY.upper(), KEY[::-1], KEY + b'\0' * 32, bytes(64):
        yield f'key {key!r}', token_of(key=key)
    yield 'key filled up', token_of(key=KEY + bytes(31))  # RFC 2104: the same key
    for name, mutated in (('dot', token + '.'), ('dots', token + '..'), ('two', f'{header}.{claims}'),
                          ('none', f'{header}.{claims}.'),
                          ('one', header), ('empty', ''), ('five', f'{token}.{claims}.{signature}'),
                          ('space', token + ' '),
                          ('line', token + '\n'), ('front', ' ' + token), ('tab', f'{header}.{claims}\t.{signature}'),
                          ('swapped', f'{claims}.{header}.{signature}'), ('hex', f'{header}.{claims}.{raw.hex()}'),
                          ('std', f'{header}.{claims}.{signature[:-1]}+'), ('nul', token + '\0'),
                          ('no claims', f'{header}..{signature}'),
                          ('wide', token.replace('e', '\uff45')), ('percent', token.replace('.', '%2E')),
                          ('json', json.dumps({'payload': claims, 'protected': header, 'signature': signature}))):
        yield 'shape ' + name, mutated
    for count in 1, 2, 3:
        word = 'padding' if (len(signature) + count) % 4 else 'padded'
        yield f'{word} signature {count}', f'{header}.{claims}.{signature}' + '=' * count
        message = f'{header}.{claims}' + '=' * count
        word = 'padding' if (len(claims) + count) % 4 else 'padded'
        yield f'{word} claims {count}', f'{message}.{encode(hmac(KEY, message.encode()))}'
    alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for bits in 1, 2, 3:
        yield f'last bits {bits}', token[:-1] + alphabet[alphabet.index(token[-1]) | bits]
    for i, mutated in enumerate(mutations(token, 300, 7)):
        if mutated.rstrip('=') == token:
            continue
        yield f'mutation {i}', mutated


def pyjwt_accepts(token):
    try:
        claims = jwt.decode(token, KEY, algorithms=['HS256'])
    except jwt.PyJWTError:
        return False
    return isinstance(claims, dict)


@pytest.fixture
def cases():
    """Tokens by the names of their cases; some are about this minute."""
    return dict([*header_cases(), *claim_cases(), *signature_cases()])


def test_the_same_decisions_as_pyjwt(cases):
    assert len(cases) > 700
    seen = set()
    for name, token in cases.items():
        ours = signing.verify(token, KEY) is not None
        theirs = pyjwt_accepts(token)
        word = name.split()[0]
        if ours != theirs:
            assert word in DIFFERENCES, (name, ours, theirs)
            assert DIFFERENCES[word][0] == ('us' if ours else 'pyjwt'), name
            seen.add(word)
    assert seen == set(DIFFERENCES)  # none that is not there any more
    accepted = [name for name, token in cases.items() if signing.verify(token, KEY) is not None]
    assert 40 < len(accepted) < 80, accepted


def test_the_same_claims_as_pyjwt(cases):
    for name, token in cases.items():
        claims = signing.verify(token, KEY)
        if claims is not None and pyjwt_accepts(token) and 'NaN' not in name:
            assert claims == jwt.decode(token, KEY, algorithms=['HS256']), name


NAMES = st.text(st.characters(exclude_categories=['Cs']), max_size=10).filter(
    lambda name: name not in ('exp', 'nbf', 'iat', 'aud', 'iss', 'sub', 'jti'))
VALUES = st.recursive(st.none() | st.booleans() | st.integers(-2**70, 2**70) | st.floats(allow_nan=False,
                                                                                         allow_infinity=False)
                      | st.text(st.characters(exclude_categories=['Cs'])),
                      lambda items: st.lists(items, max_size=4) | st.dictionaries(NAMES, items, max_size=4),
                      max_leaves=10)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_pyjwt_reads_ours_and_we_read_its(payload):
    assert jwt.decode(signing.sign(payload, KEY), KEY, algorithms=['HS256']) == payload
    sessions = Session(Microdot(), KEY)
    assert sessions.decode(jwt.encode(payload, KEY, 'HS256')) == payload
    assert sessions.decode(sessions.encode(payload)) == payload
    text = json.dumps(payload, sort_keys=True, separators=(',', ':'), ensure_ascii=False)
    assert json.loads(signing.render(payload)) == json.loads(text)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode('latin-1')),
       st.sampled_from(['JWT', 'x']))
def test_any_text_is_refused(text, purpose):
    assert signing.verify(text, KEY, purpose) is None
    assert signing.verify('\ud800' + text, KEY, purpose) is None
    for token in text + token_of(), token_of() + text, token_of().replace('.', text + '.'):
        assert signing.verify(token, KEY, purpose) is None or not text


def test_other_algorithms_of_pyjwt():
    key = KEY * 3
    for algorithm in 'HS384', 'HS512':
        token = jwt.encode({'a': 1}, key, algorithm)
        assert signing.verify(token, key) is None
        message, _, signature = token.rpartition('.')
        assert signing.verify(f'{message}.{encode(hmac(key, message.encode()))}', key) is None
        assert signing.verify(f'{encode(HEADER)}.{message.partition(".")[2]}.{signature}', key) is None
    assert signing.verify(jwt.encode({'a': 1}, None, 'none'), KEY) is None
    assert signing.verify(jwt.encode({'a': 1}, None, 'none'), [b'x', KEY]) is None


# ---------------------------------------------------------------------------------------------------------------
# Tokens and passwords of both interpreters
# ---------------------------------------------------------------------------------------------------------------

def run(interpreter, program, *args, **environment):
    """Run a program that gets arguments as ``args``; return what it prints, line by line."""
    source = f'args = {args!r}\n' + program
    result = subprocess.run([*INTERPRETERS[interpreter], '-c', source], env={**ENVIRONMENT, **environment},
                            capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout.splitlines()


HASH = 'from microdot.password import hash_password\nfor password in args: print(hash_password(password, rounds=50))'
CHECK = 'from microdot.password import check_password\nfor hash, text in args: print(check_password(hash, text))'
SIGN = 'from microdot.signing import sign\nfor payload in args: print(sign(payload, "key"))'
PASSWORDS = ('', 'secret', 'p\xe4ss\u20ac\U0001f600', 'x' * 64, 'x' * 65, 'x' * 300, 'a$b:c')


def test_hashes_of_one_interpreter_are_checked_by_the_other():
    for first, second in ('micropython', 'cpython'), ('cpython', 'micropython'):
        hashes = run(first, HASH, *PASSWORDS)
        pairs = list(zip(hashes, PASSWORDS))
        assert run(second, CHECK, *pairs) == ['True'] * len(pairs)
        assert run(second, CHECK, *[(hash, password + 'x') for hash, password in pairs]) == ['False'] * len(pairs)
        for hash, password in pairs:
            assert pbkdf2_sha256.verify(password, hash)
            assert not pbkdf2_sha256.verify(password + 'x', hash)


def test_tokens_of_both_interpreters_are_the_same():
    payloads = [{'a': 1}, {'b': [None, True, {'z': 1, 'y': 2}], 'a': '\xfc\n"\\'}, {'': ''}, {'x': 'y' * 1000},
                {'n': -(1 << 80), 'h': 0.5}]
    ours = [signing.sign(payload, 'key') for payload in payloads]
    assert run('micropython', SIGN, *payloads) == run('cpython', SIGN, *payloads) == ours


# ---------------------------------------------------------------------------------------------------------------
# Passwords, and passlib
# ---------------------------------------------------------------------------------------------------------------

def test_passlib_checks_ours():
    for password in PASSWORDS[:3]:
        hash = hash_password(password)
        assert scrypt.identify(hash) and scrypt.verify(password, hash)
        assert not scrypt.verify(password + 'x', hash)
        hash = hash_password(password, 'pbkdf2-sha256', 1000)
        assert pbkdf2_sha256.identify(hash) and pbkdf2_sha256.verify(password, hash)


def test_we_check_those_of_passlib():
    for password in PASSWORDS:
        for hash in (pbkdf2_sha256.using(rounds=100).hash(password),
                     pbkdf2_sha256.using(rounds=1, salt_size=40).hash(password),
                     scrypt.using(rounds=4, block_size=1, parallelism=2).hash(password)):
            assert check_password(hash, password)
            assert not check_password(hash, password + 'x')
    assert check_password(scrypt.hash('secret'), 'secret')  # with its defaults


def read_until(terminal, mark, data=b''):
    end = time.monotonic() + 20
    while mark not in data:
        assert select.select([terminal], [], [], max(end - time.monotonic(), 0))[0], data
        data += os.read(terminal, 4096)
    return data


def ask(passwords, *options):
    """Run ``python -m microdot.password`` in a terminal; return exit status, output, and what the terminal shows."""
    terminal, end = pty.openpty()
    try:
        with subprocess.Popen([sys.executable, '-m', 'microdot.password', *options], env=ENVIRONMENT, stdin=end,
                              stdout=subprocess.PIPE,
                              stderr=end, start_new_session=True) as process:
            shown = b''
            for prompt, password in zip([b'Password: ', b'Again: '], passwords):
                shown = read_until(terminal, prompt, shown)
                os.write(terminal, password.encode() + b'\n')
            output, _ = process.communicate(timeout=30)
            while select.select([terminal], [], [], 0)[0]:
                with suppress(OSError):
                    shown += os.read(terminal, 4096)
        return process.returncode, output.decode(), shown.decode()
    finally:
        os.close(terminal)
        os.close(end)


@pytest.mark.parametrize(('options', 'expected'), [
    ((), '$scrypt$ln=14,r=8,p=5$'), (('--board',), '$pbkdf2-sha256$'), (('--rounds', '77'), '$pbkdf2-sha256$77$'),
    (('--board', '--rounds', '99'), '$pbkdf2-sha256$99$')])
def test_the_command(options, expected):
    status, output, shown = ask(['p\xe4ssword', 'p\xe4ssword'], *options)
    assert status == 0, shown
    assert output.startswith(expected)
    assert output.count('\n') == 1  # all that there is, so that it can go to a file
    assert check_password(output.strip(), 'p\xe4ssword')
    assert 'ssword' not in shown.replace('Password: ', '')
    if options == ('--board',):
        assert run('micropython', CHECK, (output.strip(), 'p\xe4ssword')) == ['True']


def test_the_command_when_passwords_differ():
    status, output, shown = ask(['secret', 'Secret'])
    assert (status, output) == (1, '')
    assert 'differ' in shown and 'ecret' not in shown


# ---------------------------------------------------------------------------------------------------------------
# Mistakes that are told at once
# ---------------------------------------------------------------------------------------------------------------

def test_short_keys(caplog):
    Session(Microdot(), 'k' * 31)
    Session(Microdot(), ['k' * 32, 'short'])
    assert [record.levelname for record in caplog.records] == ['WARNING'] * 2
    assert '32 bytes' in caplog.text
    caplog.clear()
    Session(Microdot(), 'k' * 32)
    assert not caplog.records


def test_a_guard_above_the_route(caplog):
    app = Microdot()
    for guard in BasicAuth(), BasicAuth().optional, Login(), Login().fresh:
        caplog.clear()

        @guard
        @app.get('/')
        async def index(request):
            return 'secret'

        assert len(caplog.records) == 1 and 'index()' in caplog.text


@pytest.mark.parametrize('decorator', [with_websocket, with_sse])
def test_a_guard_below_a_decorator_that_nobody_knows(decorator):
    def unknown(f):
        @functools.wraps(f)
        async def wrapper(*args, **kwargs):
            return await f(*args, **kwargs)
        return wrapper

    for guard in BasicAuth(), Login():
        with pytest.raises(ValueError, match='authentication'):
            @decorator
            @unknown
            @guard
            async def below(request, stream):
                pass

        @guard
        @decorator
        @unknown
        async def above(request, stream):
            pass


# ---------------------------------------------------------------------------------------------------------------
# What they tell, and what they cost
# ---------------------------------------------------------------------------------------------------------------

@pytest.mark.alone
@pytest.mark.parametrize('interpreter', INTERPRETERS)
def test_times_do_not_tell_where_the_difference_is(interpreter, record_property):
    """Comparisons that end early are faster by a factor of thousands here. The bound is wide: machines are busy."""
    result = subprocess.run([*INTERPRETERS[interpreter], HERE / 'timing.py', SOURCE], env=ENVIRONMENT,
                            capture_output=True, text=True,
                            timeout=60, check=True)
    lines = result.stdout.splitlines()
    assert len(lines) == 3, result
    for line in lines:
        name, _, ratio = line.rpartition(' ')
        print(f'{interpreter}: {name}: first difference at the beginning / at the end: {ratio}')
        record_property(f'{interpreter} {name}', ratio)
        assert 0.5 < float(ratio) < 2, line


IMPORT = '''
import json, sys, time
import microdot
before = set(sys.modules)
start = time.perf_counter()
import microdot.session
elapsed = time.perf_counter() - start
print(json.dumps([elapsed * 1000, sorted(set(sys.modules) - before)]))
'''


@pytest.mark.alone
def test_importing_sessions_costs_little(record_property, tmp_path):
    compiled = {'PYTHONDONTWRITEBYTECODE': '', 'PYTHONPYCACHEPREFIX': str(tmp_path)}  # as where it is installed
    results = [json.loads(run('cpython', IMPORT, **compiled)[0]) for _ in range(10)]
    best = min(elapsed for elapsed, _ in results)
    print(f'import microdot.session: {best:.2f} ms')
    record_property('import microdot.session, ms', round(best, 2))
    assert best < 15  # on a machine that is busy; 2 on one that is not
    roots = {name.partition('.')[0] for name in results[0][1]}
    assert roots <= sys.stdlib_module_names | {'microdot'}, roots - sys.stdlib_module_names
    assert {name for name in results[0][1] if name.startswith('microdot')} == {
        'microdot.session', 'microdot.signing', 'microdot.helpers', 'microdot.cpython_helpers'}


def test_what_a_browser_makes_of_redirections():
    """The parser of Ada, which is that of Node.js, follows the URL Standard as browsers do."""
    base = 'http://site.example/login?next=x'
    for url in LOCAL_URLS:
        assert is_local(url), url
        assert ada_url.URL(url, base).origin == 'http://site.example', url
    leads_away = 0
    for url in HOSTILE_URLS:
        assert not is_local(url), url
        with suppress(ValueError, UnicodeError):
            leads_away += ada_url.URL(url, base).origin != 'http://site.example'
    assert leads_away >= 60  # the others are not what next= is for


@given(st.text(st.sampled_from('/\\.:@#?%&;=[]() \t\r\n\0ahtps%2Ff5c0x\xa0\u3002\uff0f\u2044'), max_size=12),
       st.sampled_from(['', '/', '//', '/\\', '/.']))
def test_no_url_leads_away(text, prefix):
    url = prefix + text
    if is_local(url):
        for base in 'http://site.example/login?next=x', 'https://site.example:8443/a/b/login':
            assert ada_url.URL(url, base).origin == ada_url.URL(base).origin
            assert '\r' not in url and '\n' not in url
