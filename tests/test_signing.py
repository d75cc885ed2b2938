"""Signed tokens: which bytes they are, and that nobody else's are accepted."""
from forgery import BASE64URL, encode, hmac, mutations
from forgery import forge as forge_with
from helpers import ON_MICROPYTHON, changed, raises
from microdot import signing
from microdot.signing import is_equal, keyed_hmac, sign, to_keys, verify

NOW = 1_750_000_000
HEADER = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9'  # {"alg":"HS256","typ":"JWT"}
REMEMBER = 'eyJhbGciOiJIUzI1NiIsInR5cCI6InJlbWVtYmVyK2p3dCJ9'

# Payload, key, purpose, and what follows the header: made with CPython's hmac and base64 from JSON written by hand.
TOKENS = (
    ({}, 'secret', 'JWT',
     'e30'
     '.t-IDcSemACt8x4iTMCda8Yhe3iZaWbvV5XKSTbuAn0M'),
    ({'name': 'Susan'}, b'secret', 'JWT',
     'eyJuYW1lIjoiU3VzYW4ifQ'
     '.nmq9IVZefGYqyrhsfl6pU8KM3lUWBzbcmYfpWthOtvk'),
    ({'b': 1, 'a': 2, 'B': 3, '': 4, 'aa': 5}, 'secret', 'JWT',
     'eyIiOjQsIkIiOjMsImEiOjIsImFhIjo1LCJiIjoxfQ'
     '.TENikS-9Lf_qsCPMo1uzwPd9It4No4Umzxcl4pFnypc'),
    ({'n': None, 't': True, 'f': False}, 'secret', 'JWT',
     'eyJmIjpmYWxzZSwibiI6bnVsbCwidCI6dHJ1ZX0'
     '.rQDS6ufRC8f46UeSTzTuxfaUIpdyquoFtYjjit1EBPM'),
    ({'n': -1, 'z': 0, 'big': 1 << 70, 'h': 0.5, 'm': -1.25}, 'secret', 'JWT',
     'eyJiaWciOjExODA1OTE2MjA3MTc0MTEzMDM0MjQsImgiOjAuNSwibSI6LTEuMjUsIm4iOi0xLCJ6IjowfQ'
     '.UB4RQ0w0-YjTc_5t8QgPzkWrA1yLm24vqAQj-mfdpos'),
    ({'l': [1, [2, ['x', {}]], []], 't': (1, 2)}, 'secret', 'JWT',
     'eyJsIjpbMSxbMixbIngiLHt9XV0sW11dLCJ0IjpbMSwyXX0'
     '.is20S2yzREyJpTY9-Cc5A_1bi6cuAOphSpdRbCFfJHk'),
    ({'d': {'y': {'b': 1, 'a': 2}, 'x': 0}}, 'secret', 'JWT',
     'eyJkIjp7IngiOjAsInkiOnsiYSI6MiwiYiI6MX19fQ'
     '.FuJ46d7JsGYAe-q_Df0opSUGrRdGiyfZipb7UJOpvYU'),
    ({'\xfc': '\u20ac \U0001f600', '\ufb01': '\u2028'}, 'secret', 'JWT',
     'eyLDvCI6IuKCrCDwn5iAIiwi76yBIjoi4oCoIn0'
     '.hnWq_1KmpMVc8ih1wkTkNrO7XTXKTRuH6njdarj2MXw'),
    ({'q': '"\\/', 'c': '\0\b\t\n\r\x1f\x7f'}, 'secret', 'JWT',
     'eyJjIjoiXHUwMDAwXHUwMDA4XHUwMDA5XHUwMDBhXHUwMDBkXHUwMDFmfyIsInEiOiJcIlxcLyJ9'
     '.pT8NDb8my-VRuLrQl0BOoWMy8sK06gynCPCciEW8VcE'),
    ({'user_id': 7, 'days': 30, 'exp': NOW}, 'secret', 'remember+jwt',
     'eyJkYXlzIjozMCwiZXhwIjoxNzUwMDAwMDAwLCJ1c2VyX2lkIjo3fQ'
     '.lqtTZV0lXkQelWWr6WKT1pqyjIRpC9wN9OB1VxXLIoo'),
    ({'a': 1}, '\xfc' * 40, 'JWT',
     'eyJhIjoxfQ'
     '.VZe5r7LEuPZqqHgsiXsTmffsNCiVcl1nmW52cOjol6A'),
    ({'a': 1}, ['first', b'second'], 'JWT',
     'eyJhIjoxfQ'
     '.9DwgDiHIpu5jycoSiBcnflS04o9007qOwLAcpzKjgg4'),
)

# Key and message in hexadecimal or text, and the code: the test cases of RFC 4231 section 4 that have 32 bytes.
RFC_4231 = (
    (b'\x0b' * 20, b'Hi There', 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'),
    (b'Jefe', b'what do ya want for nothing?', '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'),
    (b'\xaa' * 20, b'\xdd' * 50, '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe'),
    (bytes(range(1, 26)), b'\xcd' * 50, '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b'),
    (b'\xaa' * 131, b'Test Using Larger Than Block-Size Key - Hash Key First',
     '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54'),
    (b'\xaa' * 131, b'This is a test using a larger than block-size key and a larger than block-size data. The key '
     b'needs to be hashed before being used by the HMAC algorithm.',
     '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2'),
)


def forge(claims, header='{"alg":"HS256","typ":"JWT"}', key=b'key'):
    return forge_with(claims, header, key)


def clock(at=NOW):
    return changed(signing, now=lambda: at)


def claims_of(token, key=b'key', purpose='JWT', at=NOW):
    with clock(at):
        return verify(token, key, purpose)


# ---------------------------------------------------------------------------------------------------------------
# The primitives
# ---------------------------------------------------------------------------------------------------------------

def test_hmac():
    for key, message, code in RFC_4231:
        assert keyed_hmac(key)(message).hex() == code
    for size in 0, 1, 63, 64, 65, 66, 200:  # about the size of a block of the hash
        assert keyed_hmac(b'k' * size)(b'message') == hmac(b'k' * size, b'message')


def test_comparison():
    a = bytes(range(256))
    assert is_equal(a, a)
    assert is_equal(b'', b'')
    for i in range(256):
        assert not is_equal(a, a[:i] + bytes([a[i] ^ 1]) + a[i + 1:])
        assert not is_equal(a, a[:i])
        assert not is_equal(a[:i], a)
    assert not is_equal(b'ab', b'ba')
    assert not is_equal(b'', b'a')


def test_the_clock_counts_from_1970():
    assert signing.now() > 1_700_000_000


def test_keys():
    assert to_keys('\xfc') == to_keys(b'\xc3\xbc') == [b'\xc3\xbc']
    assert to_keys(['a', b'b']) == to_keys(('a', 'b')) == [b'a', b'b']
    for secret in None, '', b'', [], (), [''], ['a', b''], ('', 'a'):
        with raises(ValueError) as error:
            to_keys(secret)
        assert 'secret key' in str(error.value)
        with raises(ValueError):
            sign({}, secret)


# ---------------------------------------------------------------------------------------------------------------
# Signing
# ---------------------------------------------------------------------------------------------------------------

def test_tokens_are_the_same_bytes_on_all_interpreters():
    for payload, secret, purpose, expected in TOKENS:
        header = HEADER if purpose == 'JWT' else REMEMBER
        token = sign(payload, secret, purpose)
        assert token == header + '.' + expected, payload
        found = claims_of(token, secret, purpose, NOW - 1)
        assert found == {name: list(item) if isinstance(item, tuple) else item for name, item in payload.items()}


def test_names_that_are_no_text_become_text_as_in_json():
    token = sign({2: 'a', None: 'b', True: 'c', 0.5: 'd'}, 'key')
    assert claims_of(token) == {'2': 'a', 'null': 'b', 'true': 'c', '0.5': 'd'}


def test_halves_of_surrogates():
    # text of a client may have one: JSON can express it, UTF-8 cannot
    token = sign({'a': 'x\ud800y\udfff'}, 'key')
    assert token == forge('{"a":"x\\ud800y\\udfff"}')
    assert claims_of(token) == {'a': 'x\ud800y\udfff'}


def test_floats_survive():
    for x in 0.1, 1.0, 1 / 3, 1e22, 1e300, -0.0, 1e-7, 1700000000.123:
        assert claims_of(sign({'x': x}, 'key')) == {'x': x}


def test_what_json_cannot_express_is_refused():
    for value in b'bytes', bytearray(b'a'), object(), {1}, 1j, lambda: None, ValueError:
        for payload in {'a': value}, {'a': [value]}, {'a': {'b': value}}, {'a': (1, value)}:
            with raises(TypeError):
                sign(payload, 'key')
    for value in 'nan', 'inf', '-inf':  # RFC 8259 section 6
        with raises(ValueError):
            sign({'a': float(value)}, 'key')


def test_registered_claims_of_other_types_are_not_signed():
    for name in 'iss', 'sub', 'jti':
        for value in None, 1, True, ['a'], {}:
            with raises(ValueError):
                sign({name: value}, 'key')
        assert claims_of(sign({name: 'a'}, 'key')) == {name: 'a'}
    for name in 'exp', 'nbf', 'iat':
        for value in None, '1', True, False, [1], {}:
            with raises(ValueError):
                sign({name: value}, 'key')
    with raises(ValueError):
        sign({'aud': 'me'}, 'key')


# ---------------------------------------------------------------------------------------------------------------
# Verifying: the key and the signature
# ---------------------------------------------------------------------------------------------------------------

def test_only_the_key_verifies():
    token = forge({'a': 1})
    for secret in 'key', b'key', ['key'], ['old', 'key'], ['key', 'old'], ('a', b'b', 'c', b'key'):
        assert claims_of(token, secret) == {'a': 1}, secret
    for secret in 'Key', 'key ', 'ke', 'keyy', ['a', 'b'], 'KEY', b'ey', '\0', 'k\0ey':
        assert claims_of(token, secret) is None, secret


def test_rotation_of_keys():
    token = sign({'a': 1}, ['new', 'old'])
    assert claims_of(token, 'new') == {'a': 1}
    assert claims_of(token, 'old') is None
    assert claims_of(sign({'a': 1}, 'old'), ['new', 'old']) == {'a': 1}
    assert claims_of(sign({'a': 1}, 'older'), ['new', 'old']) is None


def test_the_same_key_in_other_spellings_by_the_definition_of_hmac():
    # RFC 2104: a long key is hashed, a short one filled up with zeros. That is no way in, as it takes the key.
    token = forge({'a': 1}, key=b'k' * 100)
    assert claims_of(token, b'k' * 100) == {'a': 1}
    assert claims_of(token, b'k' * 99) is None
    assert claims_of(token, b'k' * 64) is None


def test_signatures_are_complete():
    message, _, signature = forge({'a': 1}).rpartition('.')
    assert claims_of(message + '.' + signature) == {'a': 1}
    for end in range(len(signature)):
        assert claims_of(message + '.' + signature[:end]) is None
        assert claims_of(message + '.' + signature[end + 1:]) is None
    raw = hmac(b'key', message.encode())
    for other in (b'', raw + b'\0', raw + raw, b'\0' + raw, raw[:31], raw[:16], raw[1:], bytes(32),
                  bytes(reversed(raw)),
                  raw.hex(), raw.hex().upper(), raw + b'\n'):
        assert claims_of(message + '.' + encode(other)) is None, other
    for i in range(256):
        flipped = raw[:i // 8] + bytes([raw[i // 8] ^ 1 << i % 8]) + raw[i // 8 + 1:]
        assert claims_of(message + '.' + encode(flipped)) is None, i


def test_signatures_of_something_else():
    header, claims, signature = forge({'a': 1}).split('.')
    for message in ('', header, claims, header + claims, claims + '.' + header, header + '.' + claims + '.',
                    '.' + claims, header + '.', '{"alg":"HS256","typ":"JWT"}.{"a": 1}'):
        assert claims_of('%s.%s.%s' % (header, claims, encode(hmac(b'key', message.encode())))) is None, message
    other = forge({'a': 2}).split('.')
    assert claims_of('%s.%s.%s' % (header, other[1], signature)) is None
    assert claims_of('%s.%s.%s' % (header, claims, other[2])) is None
    assert claims_of('%s.%s.%s' % (encode('{"alg":"HS256"}'), claims, signature)) is None


def test_base64_has_one_spelling():
    # RFC 7515 section 2, RFC 4648 sections 3.2, 3.3 and 3.5
    for claims in '{"a":1}', '{"a":12}', '{"a":123}':
        header, payload, signature = forge(claims).split('.')
        assert claims_of('%s.%s.%s' % (header, payload, signature))
        for part, index in (header, 0), (payload, 1), (signature, 2):
            for spelling in (part + '=', part + '==', part + '===', '=' + part, part + '\n', part + ' ', ' ' + part,
                             part[:5] + '\n' + part[5:], part[:5] + '=' + part[5:], part + '\0', part + '%3D',
                             part.replace('-', '+').replace('_', '/') + '+', part + '\xa0', '\ufeff' + part):
                parts = [header, payload, signature]
                parts[index] = spelling
                assert claims_of('.'.join(parts)) is None, parts
    # the last character of 43 has two bits too many
    message, _, signature = forge({'a': 1}).rpartition('.')
    at = BASE64URL.find(signature[-1])
    for bits in 1, 2, 3:
        assert claims_of(message + '.' + signature[:-1] + BASE64URL[at | bits]) is None
    # signed as it is, but not canonical all the same: nobody has two tokens for the same claims
    message = HEADER + '.' + encode('{"a":1}')[:-1] + 'R'
    assert claims_of(message + '.' + encode(hmac(b'key', message.encode()))) is None
    message = HEADER + '=.' + encode('{"a":1}')
    assert claims_of(message + '.' + encode(hmac(b'key', message.encode()))) is None


def test_other_alphabet():
    payload = '{"a":"??>>~~"}'
    token = forge(payload)
    assert '_' in token.split('.')[1] or '-' in token.split('.')[1]
    assert claims_of(token) == {'a': '??>>~~'}
    header, claims, signature = token.split('.')
    claims = claims.replace('-', '+').replace('_', '/')
    message = header + '.' + claims
    assert claims_of(message + '.' + encode(hmac(b'key', message.encode()))) is None


def test_shapes():
    header, claims, signature = forge({'a': 1}).split('.')
    message = header + '.' + claims
    for token in ('', '.', '..', '...', '....', 'a', 'a.b', 'a.b.c', 'a.b.c.d', header, message, message + '.',
                  message + '..' + signature, message + '.' + signature + '.', '.' + message + '.' + signature,
                  message + '.' + signature + '.' + signature, message + '.' + signature + ' ',
                  ' ' + message + '.' + signature, '.'.join([message, signature, '', '']), '\0', '\xff',
                  '\u20ac.\u20ac.\u20ac',
                  '%s..%s' % (header, signature), '.%s.%s' % (claims, signature), message + '\n.' + signature,
                  'null', '{}', 'undefined', 'deleted', '"' + message + '.' + signature + '"', '=.=.=', '-.-.-',
                  'Bearer ' + message + '.' + signature):
        assert claims_of(token) is None, token
    # five segments are an encrypted token (RFC 7516), JSON another serialization (RFC 7515 section 7.2)
    assert claims_of('.'.join([header, '', claims, claims, signature])) is None
    assert claims_of('{"payload":"%s","protected":"%s","signature":"%s"}' % (claims, header, signature)) is None


def test_huge_tokens():
    header, claims, signature = forge({'a': 1}).split('.')
    many = 1000 if ON_MICROPYTHON else 1_000_000
    for token in ('.' * many, 'A' * many, 'A' * many + '.' + 'A' * many + '.' + 'A' * many, '=' * many,
                  header + '.' + claims + '.' + 'A' * many, header + '.' + 'A' * many + '.' + signature,
                  header + '.' + claims + '.' + signature * (many // 43), '\u20ac' * many):
        assert claims_of(token) is None
    long = {'a': 'x' * many}
    assert claims_of(forge(long)) == long  # whoever has the key decides


def test_10_000_mutated_tokens():
    token = forge({'user_id': 7, 'name': 'Susan?~', 'exp': NOW + 60})
    assert claims_of(token)
    with clock():
        for mutated in mutations(token, 10_000):
            assert verify(mutated, b'key') is None, mutated


# ---------------------------------------------------------------------------------------------------------------
# Verifying: the header
# ---------------------------------------------------------------------------------------------------------------

NONE = 'none', 'None', 'NONE', 'nOnE', 'NoNe', 'nONE', ' none', 'none ', 'none\0', 'non\xe9', ''


def test_no_signature():
    # RFC 8725 section 3.2
    claims = encode('{"a":1}')
    for name in NONE:
        for header in '{"alg":"%s","typ":"JWT"}' % name, '{"alg":"%s"}' % name, '{"typ":"JWT","alg":"%s"}' % name:
            message = encode(header) + '.' + claims
            right = encode(hmac(b'key', message.encode()))
            empty = encode(hmac(b'', message.encode()))
            for token in message, message + '.', message + '..', message + '.' + right, message + '.' + empty:
                assert claims_of(token) is None, (header, token)
    for header in '{}', '{"typ":"JWT"}', '{"alg":null}', '{"alg":[]}', '{"alg":["none"]}', 'none':
        message = encode(header) + '.' + claims
        for token in message, message + '.', message + '.' + encode(hmac(b'key', message.encode())):
            assert claims_of(token) is None, header


def test_other_algorithms():
    for alg in ('HS384', 'HS512', 'HS1', 'RS256', 'RS512', 'ES256', 'ES256K', 'PS256', 'EdDSA', 'Ed25519', 'hs256',
                'Hs256', 'HS256 ', ' HS256', 'HS256\0', 'HS-256', 'HMAC-SHA256', 'SHA256', 'HS256,none', 'A256GCMKW',
                'dir'):
        assert claims_of(forge({'a': 1}, {'alg': alg, 'typ': 'JWT'})) is None, alg
    for alg in 'null', '[]', '["HS256"]', '{"HS256":1}', '256', 'true', '{}':
        assert claims_of(forge({'a': 1}, '{"alg":%s,"typ":"JWT"}' % alg)) is None, alg


def test_headers():
    for header in ('{"alg":"HS256"}', '{"alg":"HS256","typ":"JWT"}', '{"typ":"jwt","alg":"HS256"}',
                   ' { "alg" : "HS256" , "typ" : "Jwt" } ', '{"alg":"HS256","kid":"1"}', '{"alg":"HS256","x":[1]}',
                   '{"alg":"\\u0048S256"}', '{"alg":"HS256","jku":"http://evil.example/"}'):
        assert claims_of(forge({'a': 1}, header)) == {'a': 1}, header
    for header in ('', ' ', '[]', '"HS256"', '1', 'null', 'true', '[["alg","HS256"]]', '{"alg":"HS256"',
                   '{"alg":HS256}',
                   '{"ALG":"HS256"}', '{"Alg":"HS256"}', '\xef\xbb\xbf{"alg":"HS256"}', '\ufeff{"alg":"HS256"}',
                   b'{"alg":"HS256","x":"\xff"}', b'\xff', '{"alg":"HS256"}}', '{"alg":"HS256"}{}'):
        assert claims_of(forge({'a': 1}, header)) is None, header


def test_critical_extensions():
    # RFC 7515 section 4.1.11; RFC 7797: "b64" would say that the payload is not encoded
    for crit in '["exp"]', '["b64"]', '["x"]', '[]', 'null', '""', '{}', '["alg"]', '["typ"]':
        assert claims_of(forge({'a': 1}, '{"alg":"HS256","crit":%s}' % crit)) is None, crit
        assert claims_of(forge({'a': 1}, '{"alg":"HS256","b64":false,"crit":%s}' % crit)) is None, crit
    for value in 'true', 'false', '1', 'null':
        assert claims_of(forge({'a': 1}, '{"alg":"HS256","b64":%s}' % value)) is None, value


def test_purposes():
    # RFC 8725 section 3.11
    for purpose in 'JWT', 'remember+jwt', 'a':
        token = sign({'a': 1}, 'key', purpose)
        for other in 'JWT', 'remember+jwt', 'a', 'b', 'remember', '':
            assert claims_of(token, 'key', other) == ({'a': 1} if other == purpose else None), (purpose, other)
    assert claims_of(sign({'a': 1}, 'key', 'REMEMBER+jwt'), 'key', 'remember+JWT')  # RFC 7515 section 4.1.9
    without = forge({'a': 1}, '{"alg":"HS256"}')
    assert claims_of(without, 'key', 'jwt') == {'a': 1}
    assert claims_of(without, 'key', 'remember+jwt') is None
    for kind in 'null', '1', '["JWT"]', '[]', 'true', '{"JWT":1}', '""', '"JWT "', '" JWT"', '"JWTT"', '"JW"', '"JOSE"':
        assert claims_of(forge({'a': 1}, '{"alg":"HS256","typ":%s}' % kind)) is None, kind


# ---------------------------------------------------------------------------------------------------------------
# Verifying: the claims
# ---------------------------------------------------------------------------------------------------------------

def test_claims_are_an_object():
    for claims in ('', ' ', '[]', '"a"', '1', 'null', 'true', '[["a",1]]', '{"a":1', '{"a":1}}', '{"a":1}{}',
                   '\ufeff{"a":1}', b'{"a":"\xff"}', b'\xff\xfe', b'{"a":"\xc3"}', '{"a":tru}', '{a:1}', "{'a':1}"):
        assert claims_of(forge(claims)) is None, claims
    assert claims_of(forge(' {\t"a" :\n1 } \r\n')) == {'a': 1}
    assert claims_of(forge('{"\\u0061":"\\u00fc\\n\\/"}')) == {'a': '\xfc\n/'}


def test_duplicate_names():
    # RFC 7519 section 4: the last one counts. Who looks at the first sees another token, but not another signature
    assert claims_of(forge('{"a":1,"a":2}')) == {'a': 2}
    assert claims_of(forge('{"exp":%d,"exp":1}' % (NOW + 60))) is None
    assert claims_of(forge('{"exp":1,"exp":%d}' % (NOW + 60)))
    assert claims_of(forge({'a': 1}, '{"alg":"HS256","alg":"none"}')) is None
    assert claims_of(forge({'a': 1}, '{"typ":"JWT","typ":"remember+jwt","alg":"HS256"}')) is None
    assert claims_of(forge({'a': 1}, '{"crit":["a"],"alg":"HS256","crit":[]}')) is None


def test_nested_too_deeply():
    for depth in (50, 1000) if ON_MICROPYTHON else (50, 2000, 100_000):  # where the end is depends on the interpreter
        lists = '[' * depth + ']' * depth
        objects = '{"b":' * depth + '1' + '}' * depth
        for text in lists, objects:
            assert (claims_of(forge('{"a":%s}' % text)) is None) <= (depth > 50)
            assert (claims_of(forge({'a': 1}, '{"alg":"HS256","a":%s}' % text)) is None) <= (depth > 50)
        assert claims_of(forge('{"a":' + '[' * depth)) is None
        assert claims_of('%s.%s.%s' % (HEADER, encode('[' * depth), encode(bytes(32)))) is None


def test_wrong_types_in_every_claim():
    wrong = 'null', 'true', 'false', '[]', '{}', '[1]', '{"a":1}'
    for name in 'iss', 'sub', 'jti':
        assert claims_of(forge('{"%s":"x"}' % name))
        for value in wrong + ('1', '0', '-1', '0.5'):
            assert claims_of(forge('{"%s":%s}' % (name, value))) is None, (name, value)
    for name in 'exp', 'nbf', 'iat':
        for value in wrong + ('"1"', '"%d"' % (NOW + 60), '"%d"' % (NOW - 60), '""', '"x"', '[%d]' % NOW, 'NaN'):
            assert claims_of(forge('{"%s":%s}' % (name, value))) is None, (name, value)
    for value in wrong + ('"me"', '["me"]', '1', '""'):  # RFC 7519 section 4.1.3
        assert claims_of(forge('{"aud":%s}' % value)) is None, value


def test_times():
    for claims, is_valid in (
            ({'exp': NOW}, False), ({'exp': NOW + 1}, True), ({'exp': NOW - 1}, False), ({'exp': 0}, False),
            ({'exp': -1}, False), ({'exp': NOW + 0.5}, True), ({'exp': NOW - 0.5}, False), ({'exp': 1 << 80}, True),
            ({'exp': -(1 << 80)}, False), ({'nbf': NOW}, True), ({'nbf': NOW + 1}, False), ({'nbf': NOW - 1}, True),
            ({'nbf': 0}, True), ({'nbf': -(1 << 80)}, True), ({'nbf': 1 << 80}, False), ({'nbf': NOW + 0.5}, False),
            ({'iat': NOW}, True), ({'iat': NOW + 60}, True), ({'iat': NOW + 61}, False), ({'iat': 0}, True),
            ({'iat': 1 << 80}, False), ({'iat': -(1 << 80)}, True), ({'exp': NOW + 1, 'nbf': NOW, 'iat': NOW}, True),
            ({'exp': NOW, 'nbf': NOW, 'iat': NOW}, False), ({'exp': NOW + 9, 'nbf': NOW + 1}, False),
            ({'exp': NOW + 9, 'iat': NOW + 99}, False), ({'EXP': 0}, True), ({'Nbf': 1 << 80}, True)):
        assert claims_of(forge(claims)) == (claims if is_valid else None), claims


def test_numbers_of_any_length():
    for digits in 20, 300, 400, 5000:
        number = '9' * digits
        for name in 'exp', 'nbf', 'iat':
            for value in number, '-' + number, number + '.0', '1e' + number, '-1e' + number, '1e-' + number:
                claims_of(forge('{"%s":%s}' % (name, value)))  # the answer depends on the interpreter's numbers
        assert claims_of(forge('{"nbf":%s}' % number)) is None
        assert claims_of(forge('{"exp":-%s}' % number)) is None


def test_the_clock_moves():
    token = sign({'exp': NOW + 60}, 'key')
    assert claims_of(token, at=NOW + 59)
    assert claims_of(token, at=NOW + 59.5)
    assert claims_of(token, at=NOW + 60) is None
    token = sign({'nbf': NOW + 60}, 'key')
    assert claims_of(token, at=NOW + 59.5) is None
    assert claims_of(token, at=NOW + 60)
