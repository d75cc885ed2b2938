"""The containers of the core, its text functions, and what the package exports."""
import random

import microdot
from helpers import raises
from microdot import AsyncBytesIO
from microdot.microdot import (
    MUTED_SOCKET_ERRORS,
    HTTPException,
    MultiDict,
    NoCaseDict,
    invoke_handler,
    iscoroutine,
    mro,
    print_exception,
    urldecode,
    urlencode,
)

# ---------------------------------------------------------------------------------------------------------------
# NoCaseDict
# ---------------------------------------------------------------------------------------------------------------


def test_nocasedict_is_a_dict():
    assert isinstance(NoCaseDict(), dict)


def test_nocasedict_reads_without_case():
    d = NoCaseDict({'Content-Type': 'text/html'})
    assert d['content-type'] == 'text/html'
    assert d['CONTENT-TYPE'] == 'text/html'
    assert d.get('content-TYPE') == 'text/html'


def test_nocasedict_writes_without_case_and_keeps_the_first_spelling():
    d = NoCaseDict()
    d['Content-Type'] = 'text/html'
    d['content-type'] = 'text/plain'
    assert len(d) == 1
    assert list(d) == ['Content-Type']
    assert list(d.items()) == [('Content-Type', 'text/plain')]
    assert list(d.values()) == ['text/plain']


def test_nocasedict_of_a_dict_with_two_spellings_has_one_key():
    assert len(NoCaseDict({'A': 1, 'a': 1})) == 1


def test_nocasedict_does_not_change_the_dict_that_it_is_made_of():
    original = {'A': 1}
    NoCaseDict(original)['a'] = 2
    assert original == {'A': 1}


def test_nocasedict_contains_without_case():
    d = NoCaseDict({'Host': 'x'})
    assert 'host' in d
    assert 'HOST' in d
    assert 'hos' not in d


def test_nocasedict_missing_key():
    d = NoCaseDict({'A': 1})
    with raises(KeyError):
        d['b']
    assert d.get('b') is None
    assert d.get('b', 5) == 5
    with raises(KeyError):
        del d['b']


def test_nocasedict_deletes_without_case():
    d = NoCaseDict({'Content-Type': 'text/html'})
    del d['content-type']
    assert len(d) == 0
    assert 'Content-Type' not in d
    with raises(KeyError):
        d['Content-Type']


def test_nocasedict_takes_a_deleted_key_again():
    d = NoCaseDict({'Content-Type': 'text/html'})
    del d['content-type']
    d['CONTENT-TYPE'] = 'text/plain'
    assert len(d) == 1
    assert d['Content-Type'] == 'text/plain'
    assert d.pop('content-type') == 'text/plain'
    assert d.setdefault('Content-type', 'text/css') == 'text/css'
    assert 'content-type' in d


def test_nocasedict_pop():
    d = NoCaseDict({'A': 1, 'B': 2})
    assert d.pop('a') == 1
    assert 'A' not in d
    assert d.get('a') is None
    assert d.pop('a', 3) == 3
    with raises(KeyError):
        d.pop('a')
    assert d == {'B': 2}


def test_nocasedict_pop_with_the_default_none():
    assert NoCaseDict().pop('a', None) is None


def test_nocasedict_popitem():
    d = NoCaseDict({'Host': 'x'})
    assert d.popitem() == ('Host', 'x')
    assert 'host' not in d
    assert d.get('Host') is None
    with raises(KeyError):
        d.popitem()


def test_nocasedict_setdefault():
    d = NoCaseDict({'A': 1})
    assert d.setdefault('a', 2) == 1
    assert d.setdefault('B', 3) == 3
    assert d['b'] == 3
    assert d.setdefault('c') is None
    assert 'C' in d


def test_nocasedict_setdefault_returns_the_object_that_is_kept():
    d = NoCaseDict()
    d.setdefault('List', []).append(1)
    d.setdefault('list', []).append(2)
    assert d['List'] == [1, 2]


def test_nocasedict_update():
    d = NoCaseDict({'A': 1})
    d.update({'a': 2, 'B': 3})
    d.update(NoCaseDict({'b': 4}))
    assert d['A'] == 2
    assert d['B'] == 4
    assert len(d) == 2


def test_nocasedict_clear():
    d = NoCaseDict({'A': 1})
    d.clear()
    assert len(d) == 0
    assert 'a' not in d
    d['a'] = 2
    assert list(d.values()) == [2]
    assert d['A'] == 2


def test_nocasedict_copy():
    d = NoCaseDict({'A': 1})
    copy = d.copy()
    copy['a'] = 2
    assert isinstance(copy, NoCaseDict)
    assert list(copy) == ['A']
    assert copy['A'] == 2
    assert d['A'] == 1


def test_nocasedict_equality_is_without_case():
    assert NoCaseDict({'A': 1}) == NoCaseDict({'a': 1})
    assert NoCaseDict({'A': 1, 'b': 2}) == {'a': 1, 'B': 2}
    assert not NoCaseDict({'A': 1}) == {'a': 2}
    assert not NoCaseDict({'A': 1}) == {'A': 1, 'B': 2}
    assert not NoCaseDict({'A': 1, 'B': 2}) == {'A': 1}
    assert not NoCaseDict({'A': 1}) == {'B': 1}


def test_nocasedict_inequality():
    assert NoCaseDict({'A': 1}) != {'a': 2}
    assert not NoCaseDict({'A': 1}) != {'a': 1}


def test_nocasedict_is_not_equal_to_other_types():
    assert not NoCaseDict() == 5
    assert NoCaseDict() != None  # noqa: E711
    assert not NoCaseDict({'a': 1}) == ['a']


def test_nocasedict_value_none_is_not_a_missing_key():
    d = NoCaseDict({'A': None})
    assert 'a' in d
    assert d.get('a', 5) is None
    assert d.setdefault('a', 5) is None
    assert not d == {'B': None}


# ---------------------------------------------------------------------------------------------------------------
# MultiDict
# ---------------------------------------------------------------------------------------------------------------

def test_multidict_is_a_dict():
    assert isinstance(MultiDict(), dict)


def test_multidict_assignment_appends_and_reading_gives_the_first():
    d = MultiDict()
    d['a'] = 'one'
    d['a'] = 'two'
    assert d['a'] == 'one'
    assert d.get('a') == 'one'
    assert d.getlist('a') == ['one', 'two']
    assert len(d) == 1


def test_multidict_of_a_dict():
    d = MultiDict({'a': 1, 'b': 2})
    assert d['a'] == 1
    assert d.getlist('b') == [2]
    d['b'] = 3
    assert d.getlist('b') == [2, 3]


def test_multidict_missing_key():
    d = MultiDict()
    with raises(KeyError):
        d['a']
    assert d.get('a') is None
    assert d.get('a', 'x') == 'x'
    assert d.get('a', default='x') == 'x'
    assert d.getlist('a') == []
    assert 'a' not in d


def test_multidict_get_with_type():
    d = MultiDict({'a': '5'})
    assert d.get('a', type=int) == 5
    assert d.get('a', 7, int) == 5
    assert d.get('b', type=int) is None


def test_multidict_get_does_not_convert_the_default():
    assert MultiDict().get('a', default='x', type=int) == 'x'


def test_multidict_getlist_with_type():
    d = MultiDict({'a': '5'})
    d['a'] = '6'
    assert d.getlist('a', type=int) == [5, 6]
    assert d.getlist('a', int) == [5, 6]
    assert d.getlist('b', type=int) == []


def test_multidict_contains_keys():
    d = MultiDict({'a': 1})
    assert 'a' in d
    assert list(d.keys()) == ['a']


# ---------------------------------------------------------------------------------------------------------------
# urlencode, urldecode
# ---------------------------------------------------------------------------------------------------------------

def test_urlencode_escapes_what_is_special_in_a_form():
    text = urlencode('a b&c=d+e%f/g?h#i')
    for char in ' &=/?#':
        assert char not in text
    assert text.replace('%20', '+').startswith('a+b%26c%3Dd%2Be%25f')


def test_urlencode_keeps_letters_and_digits():
    assert urlencode('AZaz09-._') == 'AZaz09-._'


def test_urlencode_encodes_utf8():
    assert urlencode('ü').upper() == '%C3%BC'
    assert urlencode('😀').upper() == '%F0%9F%98%80'


def test_urlencode_escapes_control_characters():
    assert urlencode('\0\r\n\x7f').upper() == '%00%0D%0A%7F'


def test_urldecode_understands_plus_and_percent():
    assert urldecode('a+b%20c%2Bd') == 'a b c+d'
    assert urldecode('%C3%BC%c3%bc') == 'üü'


def test_urldecode_keeps_what_is_not_an_escape():
    for text in ('%', '%%', '%4', 'a%', '%zz', '100%!', '%+1'.replace('+', '-'), '%u1234'):
        assert urldecode(text) == text


def test_urldecode_decodes_escapes_next_to_broken_ones():
    assert urldecode('%zz%41%4') == '%zzA%4'
    assert urldecode('%%41') == '%A'


def test_urldecode_of_text_that_is_not_ascii():
    assert urldecode('ü%41') == 'üA'


def test_urldecode_of_bytes_that_are_not_utf8_does_not_raise():
    assert isinstance(urldecode('%ff%fe'), str)


def test_empty_strings():
    assert urlencode('') == ''
    assert urldecode('') == ''


def test_urlencode_urldecode_round_trip_of_each_character():
    for code in list(range(0x300)) + [0x20ac, 0xfffd, 0xffff, 0x10000, 0x10ffff]:
        assert urldecode(urlencode(chr(code))) == chr(code), code


def test_urlencode_urldecode_round_trip_of_random_strings():
    random.seed(1)
    alphabet = 'ab 09%+&=;,/?#~-\0\r\nüéß€漢😀\x80\xff'
    for _ in range(300):
        text = ''.join([alphabet[random.randrange(len(alphabet))] for _ in range(random.randrange(30))])
        assert urldecode(urlencode(text)) == text, text


# ---------------------------------------------------------------------------------------------------------------
# AsyncBytesIO
# ---------------------------------------------------------------------------------------------------------------

async def test_asyncbytesio_read():
    stream = AsyncBytesIO(b'abcdef')
    assert await stream.read(2) == b'ab'
    assert await stream.read(0) == b''
    assert await stream.read() == b'cdef'
    assert await stream.read() == b''
    assert await stream.read(2) == b''


async def test_asyncbytesio_readexactly():
    stream = AsyncBytesIO(b'abcdef')
    assert await stream.readexactly(4) == b'abcd'
    assert await stream.readexactly(0) == b''
    with raises(EOFError):
        await stream.readexactly(3)


async def test_asyncbytesio_readline():
    stream = AsyncBytesIO(b'one\r\ntwo\nthree')
    assert await stream.readline() == b'one\r\n'
    assert await stream.readline() == b'two\n'
    assert await stream.readline() == b'three'
    assert await stream.readline() == b''


async def test_asyncbytesio_readuntil():
    stream = AsyncBytesIO(b'a--b-c--d')
    assert await stream.readuntil(b'--') == b'a--'
    assert await stream.readuntil(b'--') == b'b-c--'


async def test_asyncbytesio_of_nothing():
    assert await AsyncBytesIO(b'').read() == b''


async def test_asyncbytesio_awrite_and_aclose():
    stream = AsyncBytesIO(b'')
    await stream.awrite(b'ab')
    await stream.awrite(b'c')
    assert await stream.read() == b'abc'
    await stream.aclose()


# ---------------------------------------------------------------------------------------------------------------
# Functions
# ---------------------------------------------------------------------------------------------------------------

async def test_invoke_handler_calls_a_function():
    def add(a, b):
        return a + b

    assert await invoke_handler(add, 1, 2) == 3
    assert await invoke_handler(add, 1, b=2) == 3


async def test_invoke_handler_calls_a_coroutine_function():
    async def add(a, b):
        return a + b

    assert await invoke_handler(add, 1, 2) == 3
    assert await invoke_handler(add, a=1, b=2) == 3


async def test_invoke_handler_calls_methods():
    class Handlers:
        def plain(self, x):
            return x

        async def coroutine(self, x):
            return x

    assert await invoke_handler(Handlers().plain, 1) == 1
    assert await invoke_handler(Handlers().coroutine, 2) == 2


async def test_invoke_handler_calls_objects():
    class Plain:
        def __call__(self, x):
            return x

    class Coroutine:
        async def __call__(self, x):
            return x

    assert await invoke_handler(Plain(), 1) == 1
    assert await invoke_handler(Coroutine(), 2) == 2


async def test_invoke_handler_passes_exceptions_on():
    def fail(x):
        raise KeyError(x)

    async def fail_async(x):
        raise KeyError(x)

    for f in (fail, fail_async):
        with raises(KeyError) as error:
            await invoke_handler(f, 'key')
        assert error.value.args == ('key',)


async def test_iscoroutine():
    async def coroutine():
        return 1

    coro = coroutine()
    assert iscoroutine(coro)
    assert not iscoroutine(coroutine)
    assert not iscoroutine('text')
    assert not iscoroutine(None)
    assert await coro == 1


def test_mro_begins_with_the_class_and_leads_to_its_bases():
    class A(ValueError):
        pass

    class B(A):
        pass

    classes = list(mro(B))
    assert classes[:3] == [B, A, ValueError]
    assert Exception in classes
    assert classes.index(ValueError) < classes.index(Exception)
    assert KeyError not in classes


def test_print_exception():
    try:
        raise ValueError('printed by a test')
    except ValueError as exc:
        assert print_exception(exc) is None


def test_httpexception():
    exc = HTTPException(404)
    assert isinstance(exc, Exception)
    assert exc.status_code == 404
    assert exc.reason == '404 error'
    assert HTTPException(400, 'why').reason == 'why'


def test_muted_socket_errors_of_every_port():
    for number in (32, 54, 103, 104, 107, 110, 113, 128):
        assert number in MUTED_SOCKET_ERRORS


def test_exports_of_the_package():
    for name in ('Microdot', 'Request', 'Response', 'URLPattern', 'abort', 'redirect', 'send_file', 'AsyncBytesIO',
                 'iscoroutine'):
        assert hasattr(microdot, name), name
        assert getattr(microdot.microdot, name) is getattr(microdot, name), name


def test_version():
    assert isinstance(microdot.__version__, str)
    assert microdot.__version__[0] in '0123456789'


def test_abort_is_the_static_method():
    assert microdot.abort is microdot.Microdot.abort


def test_redirect_and_send_file_are_methods_of_response():
    response = microdot.redirect('/x')
    assert isinstance(response, microdot.Response)
    assert response.headers == microdot.Response.redirect('/x').headers
    assert microdot.send_file('x.css', stream=AsyncBytesIO(b'')).headers == microdot.Response.send_file(
        'x.css', stream=AsyncBytesIO(b'')).headers
