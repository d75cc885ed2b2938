"""What the core does on CPython only: threads, tasks, async generators, and properties checked by Hypothesis."""
import asyncio
import contextlib
import contextvars
import copy
import functools
import gc
import os
import re
import socket
import sys
import threading
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, quote
from urllib.parse import urlencode as stdlib_urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from server_process import free_port

from helpers import FakeWriter, changed, exchange, get_text
from microdot import AsyncBytesIO, Microdot, Request, Response, URLPattern, send_file
from microdot.microdot import (
    MultiDict,
    NoCaseDict,
    invoke_handler,
    iscoroutine,
    mro,
    print_exception,
    urldecode,
    urlencode,
)
from microdot.test_client import TestClient

GET = b'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

# ---------------------------------------------------------------------------------------------------------------
# Containers and text
# ---------------------------------------------------------------------------------------------------------------

names = st.sampled_from(['a', 'A', 'bC', 'Bc', 'x-y', 'X-Y'])
values = st.integers(0, 3)


class NoCaseDictMachine(RuleBasedStateMachine):
    """Compare a ``NoCaseDict`` with a dict whose keys are all lower case."""

    def __init__(self):
        super().__init__()
        self.d = NoCaseDict()
        self.model = {}

    def outcome(self, call):
        try:
            return call()
        except KeyError:
            return KeyError

    @rule(name=names, value=values)
    def setitem(self, name, value):
        self.d[name] = self.model[name.lower()] = value

    @rule(name=names)
    def getitem(self, name):
        assert self.outcome(lambda: self.d[name]) == self.outcome(lambda: self.model[name.lower()])

    @rule(name=names)
    def delitem(self, name):
        assert (self.outcome(lambda: self.d.__delitem__(name))
                == self.outcome(lambda: self.model.__delitem__(name.lower())))

    @rule(name=names, default=st.lists(values, max_size=1))
    def get(self, name, default):
        assert self.d.get(name, *default) == self.model.get(name.lower(), *default)

    @rule(name=names, default=st.lists(values, max_size=1))
    def pop(self, name, default):
        assert (self.outcome(lambda: self.d.pop(name, *default))
                == self.outcome(lambda: self.model.pop(name.lower(), *default)))

    @rule(name=names, default=st.lists(values, max_size=1))
    def setdefault(self, name, default):
        assert self.d.setdefault(name, *default) == self.model.setdefault(name.lower(), *default)

    @rule(items=st.dictionaries(names, values), kind=st.sampled_from([dict, NoCaseDict]))
    def update(self, items, kind):
        self.d.update(kind(items))
        self.model.update({name.lower(): value for name, value in items.items()})

    @rule()
    def popitem(self):
        name, value = self.outcome(self.d.popitem) if self.d else ('', None)
        assert self.model.pop(name.lower(), None) == value

    @rule()
    def clear(self):
        self.d.clear()
        self.model.clear()

    @rule()
    def replace_by_copy(self):
        self.d = self.d.copy()

    @invariant()
    def is_consistent(self):
        assert len(self.d) == len(self.model) == len(list(self.d))
        assert {name.lower(): value for name, value in self.d.items()} == self.model
        assert sorted(map(str.lower, self.d.keys())) == sorted(self.model)
        assert sorted(self.d.values(), key=repr) == sorted(self.model.values(), key=repr)
        assert self.d == self.model
        assert bool(self.d) == bool(self.model)
        for name in ('a', 'A', 'bC', 'Bc', 'x-y', 'X-Y', 'other'):
            assert (name in self.d) == (name.lower() in self.model)


TestNoCaseDict = NoCaseDictMachine.TestCase


def test_nocasedict_update_with_pairs_and_keywords():
    d = NoCaseDict({'A': 1})
    d.update([('a', 2), ('B', 3)])
    assert d == {'A': 2, 'B': 3}
    d.update(b=4)
    assert d == {'A': 2, 'B': 4}
    d.update({'c': 5}, C=6)
    assert d == {'A': 2, 'B': 4, 'c': 6}
    assert len(d) == 3


def test_nocasedict_update_operator():
    d = NoCaseDict({'A': 1})
    d |= {'a': 2}
    assert list(d.items()) == [('A', 2)]


def test_nocasedict_fromkeys():
    d = NoCaseDict.fromkeys(['A', 'a', 'B'], 1)
    assert isinstance(d, NoCaseDict)
    assert len(d) == 2
    assert d['b'] == 1


def test_nocasedict_copies():
    for copied in (copy.copy(NoCaseDict({'A': [1]})), copy.deepcopy(NoCaseDict({'A': [1]}))):
        assert isinstance(copied, NoCaseDict)
        assert copied['a'] == [1]
        copied['a'] = 2
        assert list(copied.items()) == [('A', 2)]


def test_nocasedict_keeps_the_order():
    d = NoCaseDict()
    for name in ('b', 'C', 'a', 'B'):
        d[name] = name
    assert list(d.items()) == [('b', 'B'), ('C', 'C'), ('a', 'a')]


@given(st.text())
def test_urldecode_is_the_inverse_of_urlencode(text):
    assert urldecode(urlencode(text)) == text


@given(st.text())
def test_urlencode_gives_what_the_standard_library_reads(text):
    encoded = urlencode(text)
    assert encoded.isascii()
    assert parse_qsl('a=' + encoded, keep_blank_values=True) == [('a', text)]


@given(st.text())
def test_urldecode_reads_what_the_standard_library_writes(text):
    assert urldecode(stdlib_urlencode({'': text})[1:]) == text


@given(st.text())
def test_urldecode_never_raises(text):
    assert isinstance(urldecode(text), str)


pairs = st.lists(st.tuples(st.text(min_size=1), st.text()))


@given(pairs)
def test_args_are_what_the_standard_library_wrote(items):
    request = Request(Microdot(), ('', 0), 'GET', '/?' + stdlib_urlencode(items), '1.1', NoCaseDict())
    assert_same_items(request.args, items)


@given(pairs)
def test_form_is_what_the_standard_library_wrote(items):
    request = Request(Microdot(), ('', 0), 'POST', '/', '1.1',
                      NoCaseDict({'Content-Type': 'application/x-www-form-urlencoded'}),
                      stdlib_urlencode(items).encode())
    assert_same_items(request.form, items)


def assert_same_items(data, items):
    assert isinstance(data, MultiDict)
    assert list(data) == list(dict(items))
    for name in data:
        assert data.getlist(name) == [value for other, value in items if other == name]
        assert data[name] == data.getlist(name)[0]


# ---------------------------------------------------------------------------------------------------------------
# Routes
# ---------------------------------------------------------------------------------------------------------------

segments = st.text(min_size=1).filter(lambda text: '\0' not in text and text not in ('.', '..'))


@given(segments)
def test_argument_is_what_was_encoded(text):
    assert URLPattern('/a/<x>').match('/a/' + quote(text, safe='')) == {'x': text}
    assert URLPattern('/<path:x>').match('/' + quote(text, safe='')) == {'x': text}


@given(st.lists(segments, min_size=1))
def test_path_argument_is_what_was_encoded(texts):
    path = '/'.join(texts)
    assert URLPattern('/a/<path:x>').match('/a/' + quote(path)) == {'x': path}


@given(st.integers())
def test_int_argument(n):
    assert URLPattern('/<int:n>/x').match('/%d/x' % n) == {'n': n}


async def test_int_argument_that_is_too_long_for_int():
    app = Microdot()
    app.get('/<int:n>')(lambda request, n: 'ok')
    assert (await TestClient(app).get('/' + '9' * 5000)).status_code < 500


@given(st.text())
def test_int_argument_is_digits_only(text):
    args = URLPattern('/<int:n>').match('/' + quote(text, safe=''))
    assert (args is not None) == bool(re.fullmatch('-?[0-9]+', text))


@given(st.text(st.characters(codec='utf-8', exclude_characters='<>%/\0'), min_size=1))
def test_static_text_matches_itself(text):
    assert URLPattern('/' + text).match('/' + quote(text)) == {}
    assert URLPattern('/%s/<x>' % text).match('/%s/y' % quote(text)) == {'x': 'y'}


words = st.sampled_from(['a', 'b', '1', '2'])
components = st.one_of(words, st.sampled_from(['<x%d>', '<int:x%d>', '<path:x%d>', 'a<x%d>', '<re:[a-c]+:x%d>']))
paths = st.lists(words, max_size=4).map(lambda parts: '/' + '/'.join(parts))
methods = st.sampled_from(['GET', 'POST', 'PUT'])


@st.composite
def url_patterns(draw):
    parts = draw(st.lists(components, max_size=4))
    return '/' + '/'.join(part % i if '%' in part else part for i, part in enumerate(parts))


@given(st.lists(st.tuples(url_patterns(), methods), max_size=12), st.lists(st.tuples(paths, methods), min_size=1))
async def test_first_route_that_matches_path_and_method_wins(routes, requests):
    app = Microdot()
    for i, (url_pattern, method) in enumerate(routes):
        async def handler(request, i=i, **args):
            return {'route': i, 'args': args}
        app.route(url_pattern, [method])(handler)
    for path, method in requests:
        response = await app.dispatch_request(Request(app, ('', 0), method, path, '1.1', NoCaseDict()))
        found = [(i, m, URLPattern(url_pattern).match(path)) for i, (url_pattern, m) in enumerate(routes)]
        matching = [(i, m, args) for i, m, args in found if args is not None]
        expected = [{'route': i, 'args': args} for i, m, args in matching if m == method]
        if expected:
            assert response.body == Response(expected[0]).body
        else:
            assert response.status_code == (405 if matching else 404)


# ---------------------------------------------------------------------------------------------------------------
# Kinds of handlers
# ---------------------------------------------------------------------------------------------------------------

async def test_partial_objects_are_handlers():
    def plain(text, request, x):
        return text + x

    async def coroutine(text, request, x):
        return text + x

    class CoroutineCallable:
        async def __call__(self, text, request, x):
            return text + x

    app = Microdot()
    app.get('/a/<x>')(functools.partial(plain, 'plain '))
    app.get('/b/<x>')(functools.partial(coroutine, 'coroutine '))
    app.get('/c/<x>')(functools.partial(CoroutineCallable(), 'object '))
    app.get('/d/<x>')(functools.partial(functools.partial(coroutine), 'nested '))
    assert await get_text(app, '/a/1') == 'plain 1'
    assert await get_text(app, '/b/1') == 'coroutine 1'
    assert await get_text(app, '/c/1') == 'object 1'
    assert await get_text(app, '/d/1') == 'nested 1'


async def test_partial_objects_are_hooks_and_error_handlers():
    calls = []

    async def hook(name, request, *args):
        calls.append(name)
        if name == 'error':
            return 'handled', 404

    app = Microdot()
    app.before_request(functools.partial(hook, 'before'))
    app.after_request(functools.partial(hook, 'after'))
    app.after_error_request(functools.partial(hook, 'after error'))
    app.errorhandler(404)(functools.partial(hook, 'error'))
    app.get('/')(functools.partial(lambda text, request: text, 'ok'))
    await get_text(app, '/')
    assert (await TestClient(app).get('/unknown')).text == 'handled'
    assert calls == ['before', 'after', 'error', 'after error']


async def test_decorated_functions_are_handlers():
    def decorate(f):
        @functools.wraps(f)
        def decorated(*args, **kwargs):
            return f(*args, **kwargs)
        return decorated

    app = Microdot()

    @app.get('/')
    @decorate
    async def index(request):
        return 'ok'

    assert await get_text(app, '/') == 'ok'


async def test_generator_functions_are_handlers():
    app = Microdot()

    @app.get('/def/<x>')
    def plain(request, x):
        yield 'generator '
        yield x

    @app.get('/async/<x>')
    async def coroutine(request, x):
        yield 'generator '
        yield x

    assert await get_text(app, '/def/1') == 'generator 1'
    assert await get_text(app, '/async/1') == 'generator 1'


async def test_methods_of_classes_are_handlers():
    class Handlers:
        @classmethod
        async def of_class(cls, request):
            return cls.__name__

        @staticmethod
        def static(request):
            return 'static'

    app = Microdot()
    app.get('/class')(Handlers.of_class)
    app.get('/static')(Handlers.static)
    assert await get_text(app, '/class') == 'Handlers'
    assert await get_text(app, '/static') == 'static'


async def test_invoke_handler_calls_partial_objects():
    async def coroutine(a, b):
        return a + b

    assert await invoke_handler(functools.partial(coroutine, 1), 2) == 3
    assert await invoke_handler(functools.partial(lambda a, b: a + b, 1), b=2) == 3


@pytest.mark.parametrize('make_handler', [
    lambda: lambda: 'x',
    lambda: lambda **kwargs: 'x',
    lambda: lambda *, x='y': 'x',
], ids=['no arguments', 'keywords only', 'keyword-only argument'])
async def test_handler_without_the_request_argument(make_handler, caplog):
    app = Microdot()
    assert 'request' in await error_of(app, app.get('/'), make_handler(), '/', caplog)


async def test_async_handler_without_the_request_argument(caplog):
    async def index():
        return 'x'

    app = Microdot()
    assert 'request' in await error_of(app, app.get('/'), index, '/', caplog)


async def test_hook_without_the_request_argument(caplog):
    app = Microdot()
    app.get('/')(lambda request: 'x')
    assert 'request' in await error_of(app, app.before_request, lambda: None, '/', caplog)


async def test_method_without_the_request_argument(caplog):
    class Handlers:
        def index(self):
            return 'x'

    app = Microdot()
    assert 'request' in await error_of(app, app.get('/'), Handlers().index, '/', caplog)


async def test_handler_with_url_arguments_and_without_the_request_argument(caplog):
    def user(name):
        return name

    app = Microdot()
    assert 'request' in await error_of(app, app.get('/<name>'), user, '/susan', caplog)


async def error_of(app, decorator, f, path, caplog):
    """Return what the programmer is told about a handler, when it is registered or when it is called."""
    try:
        decorator(f)
    except TypeError as exc:
        return str(exc)
    assert (await TestClient(app).get(path)).status_code == 500
    return caplog.text.strip().splitlines()[-1]


def test_iscoroutine_of_generators():
    async def items():
        yield 1

    assert not iscoroutine(i for i in ())
    assert not iscoroutine(items())


def test_mro_of_several_bases():
    class A(KeyError):
        pass

    class B(ValueError):
        pass

    class C(A, B):
        pass

    classes = list(mro(C))
    assert classes.index(A) < classes.index(B) < classes.index(Exception)


async def test_error_handler_of_a_class_with_several_bases():
    class A(KeyError):
        pass

    class B(ValueError):
        pass

    class C(A, B):
        pass

    app = Microdot()

    @app.get('/')
    async def index(request):
        raise C()

    app.errorhandler(LookupError)(lambda request, exc: 'LookupError')
    app.errorhandler(B)(lambda request, exc: 'B')
    # the order of Python's MRO is C, A, KeyError, LookupError, B, ValueError, Exception
    assert await get_text(app, '/') == next(cls.__name__ for cls in C.__mro__ if cls in (LookupError, B))


def test_print_exception_writes_to_stderr(capsys):
    try:
        raise ValueError('the reason')
    except ValueError as exc:
        print_exception(exc)
    error = capsys.readouterr().err
    assert 'ValueError: the reason' in error
    assert 'test_print_exception_writes_to_stderr' in error


async def test_unhandled_exception_is_logged(caplog):
    app = Microdot()
    app.get('/')(lambda request: int('nonsense'))
    assert (await TestClient(app).get('/')).status_code == 500
    assert "ValueError: invalid literal for int() with base 10: 'nonsense'" in caplog.text


async def test_exception_of_an_error_handler_is_logged(caplog):
    app = Microdot()
    app.errorhandler(404)(lambda request: int('nonsense'))
    assert (await TestClient(app).get('/')).status_code == 500
    assert 'nonsense' in caplog.text


async def test_handled_exceptions_are_not_logged(caplog):
    app = Microdot()
    app.get('/')(lambda request: int('nonsense'))
    app.errorhandler(ValueError)(lambda request, exc: 'handled')
    await get_text(app, '/')
    assert (await TestClient(app).get('/unknown')).status_code == 404
    assert not caplog.records


# ---------------------------------------------------------------------------------------------------------------
# Threads
# ---------------------------------------------------------------------------------------------------------------

async def test_def_handlers_run_in_another_thread():
    app = Microdot()
    threads = {}
    app.before_request(lambda request: threads.update(hook=threading.get_ident()))

    @app.get('/def')
    def plain(request):
        threads['def'] = threading.get_ident()

    @app.get('/async')
    async def coroutine(request):
        threads['async'] = threading.get_ident()

    await TestClient(app).get('/def')
    await TestClient(app).get('/async')
    assert threads['async'] == threading.get_ident()
    assert threads['def'] != threading.get_ident()
    assert threads['hook'] != threading.get_ident()


async def test_def_handlers_see_context_variables():
    variable = contextvars.ContextVar('variable')
    app = Microdot()

    @app.before_request
    async def before(request):
        variable.set(request.args['x'])

    app.get('/')(lambda request: variable.get())
    assert await get_text(app, '/?x=one') == 'one'
    assert await get_text(app, '/?x=two') == 'two'


async def test_def_handlers_run_at_the_same_time():
    app = Microdot()
    barrier = threading.Barrier(2, timeout=10)

    @app.get('/')
    def index(request):
        barrier.wait()  # fails if the other request waits for this one
        return 'together'

    assert await asyncio.gather(get_text(app, '/'), get_text(app, '/')) == ['together'] * 2


async def test_def_handler_does_not_block_the_event_loop():
    app = Microdot()
    event = threading.Event()
    app.get('/wait')(lambda request: str(event.wait(10)))

    @app.get('/set')
    async def set_event(request):
        event.set()
        return 'set'

    waiting = asyncio.create_task(get_text(app, '/wait'))
    await asyncio.sleep(0.01)
    assert await get_text(app, '/set') == 'set'
    assert await waiting == 'True'


async def test_def_handler_that_raises_stopiteration():
    # a future takes everything but this
    app = Microdot()
    app.get('/')(lambda request: next(iter(())))
    assert (await asyncio.wait_for(TestClient(app).get('/'), 5)).status_code == 500


async def test_async_handler_that_raises_stopiteration():
    app = Microdot()

    @app.get('/')
    async def index(request):
        return next(iter(()))

    assert (await TestClient(app).get('/')).status_code == 500


async def test_json_is_parsed_in_the_thread_too():
    app = Microdot()
    app.post('/')(lambda request: request.json)
    client = TestClient(app)
    assert (await client.post('/', body={'a': 1})).json == {'a': 1}
    assert (await client.post('/', {'Content-Type': 'application/json'}, '{')).status_code == 400


# ---------------------------------------------------------------------------------------------------------------
# Async generators and files
# ---------------------------------------------------------------------------------------------------------------

class Items:
    """Makes async generators, and counts how many were begun and ended."""

    def __init__(self, fails=False):
        self.begun = 0
        self.ended = 0
        self.fails = fails

    async def make(self, n=3):
        self.begun += 1
        try:
            for i in range(n):
                yield b'%d' % i if i % 2 else str(i)
                await asyncio.sleep(0)
            if self.fails:
                raise ValueError('failed half-way')
        finally:
            self.ended += 1


async def test_async_generator_is_a_body():
    app = Microdot()

    @app.get('/')
    async def index(request):
        return Items().make()

    assert await get_text(app, '/') == '012'


async def test_async_generator_with_status_and_headers():
    app = Microdot()

    @app.get('/')
    async def index(request):
        return Items().make(), 202, {'Content-Type': 'text/html'}

    response = await TestClient(app).get('/')
    assert (response.status_code, response.text) == (202, '012')
    assert response.headers['Content-Type'] == 'text/html'


async def test_body_iter_of_an_async_generator():
    assert [piece async for piece in Response(Items().make()).body_iter()] == [b'0', b'1', b'2']


async def test_async_generator_that_fails_is_closed():
    items = Items(fails=True)
    app = Microdot()

    @app.get('/')
    async def index(request):
        return items.make()

    with pytest.raises(EOFError):
        await TestClient(app).get('/')
    assert (items.begun, items.ended) == (1, 1)


async def test_async_generator_is_not_begun_for_head():
    items = Items()
    app = Microdot()

    @app.get('/')
    async def index(request):
        return items.make()

    assert (await TestClient(app).request('HEAD', '/')).status_code == 200
    assert (items.begun, items.ended) == (0, 0)


class FullWriter(FakeWriter):
    """A connection whose client goes away after some bytes."""

    async def awrite(self, data):
        await super().awrite(data)
        if len(self.written) > 1000:
            raise ConnectionResetError(104, 'gone')


async def test_async_generator_is_closed_when_the_client_goes_away():
    items = Items()
    app = Microdot()

    @app.get('/')
    async def index(request):
        return items.make(1000000)

    writer = FullWriter()
    await app.handle_request(AsyncBytesIO(GET), writer)
    assert writer.is_closed
    assert (items.begun, items.ended) == (1, 1)


@contextlib.asynccontextmanager
async def connected(app):
    """Serve one end of a pair of sockets, give reader and writer of the other."""
    ours, theirs = socket.socketpair()
    task = asyncio.create_task(app.handle_request(*await asyncio.open_connection(sock=theirs)))
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.wait_for(task, 10)


async def test_async_generator_is_closed_when_a_socket_is_closed():
    items = Items()
    app = Microdot()

    @app.get('/')
    async def index(request):
        return items.make(100000000)

    async with connected(app) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b'\r\n\r\n')
        assert items.ended == 0
    assert (items.begun, items.ended) == (1, 1)


async def test_handle_request_of_asyncio_streams():
    app = Microdot()
    app.post('/')(lambda request: request.body.upper())
    async with connected(app) as (reader, writer):
        writer.write(b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody')
        assert (await reader.read()).endswith(b'\r\n\r\nBODY')


async def test_handle_request_of_a_stream_reader():
    app = Microdot()
    app.get('/')(lambda request: 'ok')
    reader = asyncio.StreamReader()
    reader.feed_data(GET)
    reader.feed_eof()
    writer = FakeWriter()
    await app.handle_request(reader, writer)
    assert writer.written.endswith(b'\r\n\r\nok')


@pytest.mark.parametrize('limit', [8, 100], ids=['streamed', 'loaded'])
async def test_connection_that_is_reset_within_a_body(limit, caplog):
    app = Microdot()

    @app.post('/')
    async def index(request):
        return await request.stream.read()

    reader = asyncio.StreamReader()
    reader.feed_data(b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n12345')
    task = asyncio.create_task(app.handle_request(reader, writer := FakeWriter()))
    with changed(Request, max_body_length=limit):
        await asyncio.sleep(0.01)
        reader.set_exception(ConnectionResetError(104, 'reset'))
        await asyncio.wait_for(task, 10)
    assert writer.is_closed
    assert b' 200 ' not in writer.written
    assert not caplog.records


async def test_request_create_with_a_stream_reader():
    reader = asyncio.StreamReader()
    reader.feed_data(b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody')
    request = await Request.create(Microdot(), reader, FakeWriter(), ('1.2.3.4', 5))
    assert request.body == b'body'


async def test_file_is_closed_when_it_was_sent(tmp_path):
    body = await send_a_file(tmp_path, FakeWriter())
    assert body.closed


async def test_file_is_closed_when_the_client_goes_away(tmp_path):
    body = await send_a_file(tmp_path, FullWriter())
    assert body.closed


async def test_file_that_shrinks_before_it_is_sent_is_closed(tmp_path):
    writer = FakeWriter()
    body = await send_a_file(tmp_path, writer, size_before_it_is_sent=10)
    assert body.closed
    assert writer.is_closed
    assert b'\r\nContent-Length: 10\r\n' in writer.written
    assert writer.written.endswith(b'\r\n\r\n' + b'x' * 10)


async def send_a_file(tmp_path, writer, size_before_it_is_sent=None):
    """Send a file to a connection, return what the body of the response was."""
    path = tmp_path / 'file.txt'
    path.write_bytes(b'x' * 100000)
    app = Microdot()
    bodies = []

    @app.get('/')
    async def index(request):
        response = send_file(str(path))
        bodies.append(response.body)
        if size_before_it_is_sent is not None:
            os.truncate(path, size_before_it_is_sent)
        return response

    await app.handle_request(AsyncBytesIO(GET), writer)
    return bodies[0]


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='needs /proc')
async def test_no_file_descriptors_are_left(tmp_path):
    gc.collect()  # what earlier tests left
    before = len(os.listdir('/proc/self/fd'))
    for writer in (FakeWriter(), FullWriter(), FullWriter()):
        await send_a_file(tmp_path, writer)
    assert len(os.listdir('/proc/self/fd')) == before


@pytest.mark.parametrize('name', ['page.html', 'a b.html', 'ü.html'])
async def test_send_file_with_names_of_every_kind(tmp_path, name):
    (tmp_path / name).write_bytes(b'text')
    app = Microdot()
    app.get('/')(lambda request: send_file(str(tmp_path / name)))
    assert await get_text(app, '/') == 'text'


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='needs named pipes')
async def test_send_file_of_a_named_pipe_does_not_wait_for_it(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    app = Microdot()

    @app.get('/')
    async def index(request):
        return send_file(str(tmp_path / 'pipe'))

    assert (await asyncio.wait_for(TestClient(app).get('/'), 10)).status_code == 404


# ---------------------------------------------------------------------------------------------------------------
# Cookies
# ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('expires', [
    datetime(2019, 11, 5, 2, 23, 54),
    datetime(2019, 11, 5, 2, 23, 54, 999999),
    datetime(2019, 11, 5, 2, 23, 54, tzinfo=timezone.utc),
    datetime(2019, 11, 5, 4, 23, 54, tzinfo=timezone(timedelta(hours=2))),
])
def test_set_cookie_expires_as_datetime(expires):
    response = Response()
    response.set_cookie('a', 'b', expires=expires)
    assert response.headers['Set-Cookie'] == ['a=b; Expires=Tue, 05 Nov 2019 02:23:54 GMT']


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)))
def test_set_cookie_expires_as_any_datetime(expires):
    response = Response()
    response.set_cookie('a', 'b', expires=expires)
    text = response.headers['Set-Cookie'][0].partition('Expires=')[2]
    # "%a" and "%b" are English in the C locale, that tests run in
    assert text == expires.strftime('%a, %d %b ') + '%04d' % expires.year + expires.strftime(' %H:%M:%S GMT')


# ---------------------------------------------------------------------------------------------------------------
# Tasks
# ---------------------------------------------------------------------------------------------------------------

async def test_current_task_in_handlers():
    app = Microdot()
    tasks = []

    async def remember(*args):
        tasks.append(asyncio.current_task())

    app.before_request(remember)
    app.after_request(remember)

    @app.get('/')
    async def index(request):
        await remember()
        await asyncio.sleep(0)
        await remember()

        async def items():
            await remember()
            yield 'text'
            await asyncio.sleep(0)
            await remember()
        return items()

    assert await get_text(app, '/') == 'text'
    assert len(tasks) == 6
    assert tasks[0] is not None
    assert all(task is tasks[0] for task in tasks)


async def test_current_tasks_of_requests_at_the_same_time():
    app = Microdot()
    tasks = []
    arrived = asyncio.Event()

    @app.get('/')
    async def index(request):
        tasks.append(asyncio.current_task())
        if len(tasks) == 2:
            arrived.set()
        await arrived.wait()
        assert asyncio.current_task() in tasks
        return 'ok'

    async with connected(app) as (reader, writer), connected(app) as (other_reader, other_writer):
        writer.write(GET)
        other_writer.write(GET)
        assert (await reader.read()).endswith(b'ok')
        assert (await other_reader.read()).endswith(b'ok')
    assert tasks[0] is not tasks[1]


async def test_handlers_can_make_tasks():
    app = Microdot()

    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    @app.get('/')
    async def index(request):
        return await asyncio.gather(double(1), asyncio.create_task(double(2)), asyncio.shield(double(3)))

    assert (await TestClient(app).get('/')).json == [2, 4, 6]


async def test_wait_for_in_a_handler():
    app = Microdot()

    @app.get('/')
    async def index(request):
        try:
            await asyncio.wait_for(asyncio.sleep(60), 0.01)
        except asyncio.TimeoutError:
            return 'too late'

    assert await get_text(app, '/') == 'too late'


@pytest.mark.skipif(sys.version_info < (3, 11), reason='needs asyncio.timeout()')
async def test_timeout_in_a_handler():
    app = Microdot()

    @app.get('/<x>')
    async def index(request, x):
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            return 'too late, %d' % asyncio.current_task().cancelling()

    assert await get_text(app, '/1') == 'too late, 0'
    assert await exchange(app, GET.replace(b'/', b'/1', 1)) != b''


@pytest.mark.skipif(sys.version_info < (3, 11), reason='needs asyncio.timeout()')
async def test_timeout_that_nobody_handles():
    app = Microdot()

    @app.get('/')
    async def index(request):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    app.errorhandler(TimeoutError)(lambda request, exc: ('too late', 504))
    response = await TestClient(app).get('/')
    assert (response.status_code, response.text) == (504, 'too late')


@pytest.mark.skipif(sys.version_info < (3, 11), reason='needs asyncio.timeout()')
async def test_timeout_around_the_stream():
    app = Microdot()

    @app.post('/')
    async def index(request):
        try:
            async with asyncio.timeout(0.05):
                await request.stream.read()
        except TimeoutError:
            return 'too slow'
        return 'complete'

    with changed(Request, max_body_length=8):
        async with connected(app) as (reader, writer):
            writer.write(b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n12345')
            head = await reader.readuntil(b'\r\n\r\n')
            assert head.startswith(b'HTTP/1.1 200 OK\r\n')
            assert await reader.readexactly(8) == b'too slow'


@pytest.mark.skipif(sys.version_info < (3, 11), reason='needs asyncio.timeout()')
async def test_timeout_around_the_test_client():
    app = Microdot()
    cancelled = []

    @app.get('/')
    async def index(request):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await TestClient(app).get('/')
    assert cancelled == [True]


async def test_handler_that_is_cancelled_from_outside():
    app = Microdot()
    begun = asyncio.Event()
    ended = []

    @app.get('/')
    async def index(request):
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    writer = FakeWriter()
    task = asyncio.create_task(app.handle_request(AsyncBytesIO(GET), writer))
    await begun.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert ended == [True]
    assert writer.is_closed


# ---------------------------------------------------------------------------------------------------------------
# start_server(start_serving=False)
# ---------------------------------------------------------------------------------------------------------------

async def fetch(port, data=GET):
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    writer.write(data)
    try:
        return await reader.read()
    finally:
        writer.close()


async def is_accepting(port):
    try:
        _, writer = await asyncio.open_connection('127.0.0.1', port)
    except OSError:
        return False
    writer.close()
    return True


async def serve(coro, port):
    """Run a server as a task, and wait until it accepts connections."""
    task = asyncio.create_task(coro)
    while not await is_accepting(port):
        assert not task.done()
        await asyncio.sleep(0.01)
    return task


async def test_server_object():
    app = Microdot()
    app.get('/')(lambda request: 'ok')
    port = free_port()
    server = await app.start_server('127.0.0.1', port, start_serving=False)
    task = await serve(server.serve_forever(), port)
    assert (await fetch(port)).endswith(b'\r\n\r\nok')
    assert (await fetch(port)).endswith(b'\r\n\r\nok')
    assert not task.done()
    server.close()
    await asyncio.wait_for(server.wait_closed(), 10)
    await asyncio.wait([task], timeout=10)
    assert task.done()
    assert not await is_accepting(port)


async def test_server_object_that_never_serves():
    server = await Microdot().start_server('127.0.0.1', free_port(), start_serving=False)
    server.close()
    await asyncio.wait_for(server.wait_closed(), 10)


async def test_server_object_that_is_closed_twice():
    server = await Microdot().start_server('127.0.0.1', free_port(), start_serving=False)
    server.close()
    server.close()
    await asyncio.wait_for(server.wait_closed(), 10)


async def test_server_object_completes_requests_when_it_is_closed():
    app = Microdot()
    begun = asyncio.Event()
    go_on = asyncio.Event()

    @app.get('/')
    async def index(request):
        begun.set()
        await go_on.wait()
        return 'complete'

    port = free_port()
    server = await app.start_server('127.0.0.1', port, start_serving=False)
    task = await serve(server.serve_forever(), port)
    request = asyncio.create_task(fetch(port))
    await begun.wait()
    server.close()
    await asyncio.sleep(0.01)
    assert not request.done()
    go_on.set()
    assert (await request).endswith(b'\r\n\r\ncomplete')
    await asyncio.wait_for(server.wait_closed(), 10)
    await asyncio.wait([task], timeout=10)


async def test_server_object_is_shut_down_by_a_handler():
    app = Microdot()

    @app.get('/')
    async def index(request):
        request.app.shutdown()
        return 'goodbye'

    port = free_port()
    server = await app.start_server('127.0.0.1', port, start_serving=False)
    task = await serve(server.serve_forever(), port)
    assert (await fetch(port)).endswith(b'\r\n\r\ngoodbye')
    await asyncio.wait_for(task, 10)
    await asyncio.wait_for(server.wait_closed(), 10)


async def test_server_object_that_is_cancelled():
    app = Microdot()
    port = free_port()
    server = await app.start_server('127.0.0.1', port, start_serving=False)
    task = await serve(server.serve_forever(), port)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await is_accepting(port)


async def test_start_server_serves_until_shutdown():
    app = Microdot()

    @app.get('/')
    def index(request):  # in a thread
        request.app.shutdown()
        return 'goodbye'

    port = free_port()
    task = await serve(app.start_server('127.0.0.1', port), port)
    assert (await fetch(port)).endswith(b'\r\n\r\ngoodbye')
    assert await asyncio.wait_for(task, 10) is None
