"""A host of ASGI without sockets, which refuses what the specification forbids an application to do.

The sections are those of the "HTTP & WebSocket ASGI Message Format" (version 2.5) and of the "Lifespan Protocol".

"""
import asyncio
from urllib.parse import unquote

from live import until

HOST = (b'host', b'example.com')


def http_scope(target='/', method='GET', headers=(), **others):
    """Return a connection scope with all keys; ``None`` for one of ``others`` leaves it out."""
    path, mark, query = target.partition('?')
    scope = {
        'type': 'http', 'asgi': {'version': '3.0', 'spec_version': '2.4'}, 'http_version': '1.1', 'method': method,
        'scheme': 'http', 'path': unquote(path), 'raw_path': path.encode(), 'query_string': query.encode(),
        'root_path': '', 'headers': [HOST, *headers], 'client': ['192.0.2.1', 50000],
        'server': ['192.0.2.2', 80], 'extensions': {}, 'state': {},
    }
    scope.update(others)
    return {key: value for key, value in scope.items() if value is not None}


def websocket_scope(target='/', headers=(), subprotocols=(), **others):
    scope = http_scope(target, headers=[
        (b'connection', b'Upgrade'), (b'upgrade', b'websocket'), (b'sec-websocket-version', b'13'),
        (b'sec-websocket-key', b'dGhlIHNhbXBsZSBub25jZQ=='), *headers], scheme='ws', subprotocols=list(subprotocols))
    del scope['method']
    scope.update(others, type='websocket')
    return {key: value for key, value in scope.items() if value is not None}


def request(body=b'', more_body=False):
    return {'type': 'http.request', 'body': body, 'more_body': more_body}


def pieces(*bodies):
    """Return the messages of a body in so many pieces."""
    return [request(body, True) for body in bodies[:-1]] + [request(bodies[-1])]


DISCONNECT = {'type': 'http.disconnect'}


class HTTPGrammar:
    """What an application may send, and when: sections "Response Start" and "Response Body" of HTTP."""

    def __init__(self, scope):
        self.is_head = scope['method'] == 'HEAD'
        self.has_begun = self.is_over = False
        self.left = None

    def take(self, message):
        assert not self.is_over, f'after the end: {message}'
        kind = message['type']
        assert kind == ('http.response.body' if self.has_begun else 'http.response.start'), kind
        if self.has_begun:
            self.take_body(message)
        else:
            self.has_begun = True
            self.take_start(message, {'type', 'status', 'headers', 'trailers'})

    def take_start(self, message, keys):
        assert set(message) <= keys, message
        assert type(message['status']) is int and 200 <= message['status'] <= 999  # 1xx would not be the response
        assert message.get('trailers', False) is False
        self.is_bodyless = self.is_head or message['status'] in (204, 304)
        check_headers(message.get('headers', []))
        lengths = [value for name, value in message.get('headers', []) if name == b'content-length']
        assert len(lengths) < 2
        if message['status'] == 204:  # RFC 9110 section 8.6
            assert not lengths
        if lengths and not self.is_bodyless:
            self.left = int(lengths[0])

    def take_body(self, message):
        assert set(message) <= {'type', 'body', 'more_body'}, message
        body = message.get('body', b'')
        assert type(body) is bytes and type(message.get('more_body', False)) is bool
        assert not (body and self.is_bodyless), body
        self.is_over = not message.get('more_body', False)
        if self.left is not None:  # RFC 9110 section 8.6; hosts break the connection here
            self.left -= len(body)
            assert self.left >= 0 and not (self.left and self.is_over), 'not as long as Content-Length says'


def check_headers(headers):
    """Lists or tuples of two byte strings, names in lower case, no pseudo headers, nothing that ends a line."""
    for name, value in headers:
        assert type(name) is bytes and type(value) is bytes
        assert name and name == name.lower() and not name.startswith(b':')
        assert not set(name) & set(b'\r\n\0 :') and not set(value) & set(b'\r\n\0')
        assert value == value.strip(b' \t') and name != b'transfer-encoding'  # the host's own


class WebSocketGrammar(HTTPGrammar):
    """Sections "Accept", "Send", "Close" of WebSocket, and the extension "WebSocket Denial Response"."""

    def __init__(self, scope):
        super().__init__({'method': 'GET'})
        self.can_deny = 'websocket.http.response' in scope.get('extensions', {})
        self.is_open = False
        self.is_connected = False  # the application has received "websocket.connect"

    def take(self, message):
        assert not self.is_over, f'after the end: {message}'
        kind = message['type'].partition('websocket.')[2]
        if self.has_begun:
            assert kind == 'http.response.body'
            self.take_body(message)
        elif self.is_open:
            assert kind in ('send', 'close'), kind
            getattr(self, 'take_' + kind)(message)
        else:
            assert self.is_connected
            assert kind in ('accept', 'close') + ('http.response.start',) * self.can_deny, kind
            getattr(self, 'take_' + kind.rpartition('.')[2])(message)

    def take_accept(self, message):
        assert set(message) <= {'type', 'subprotocol', 'headers'}, message
        assert type(message.get('subprotocol')) in (str, type(None))
        check_headers(message.get('headers', []))
        assert b'sec-websocket-protocol' not in dict(message.get('headers', []))
        self.is_open = True

    def take_send(self, message):
        assert set(message) <= {'type', 'bytes', 'text'}
        values = [message.get('bytes'), message.get('text')]
        assert values.count(None) == 1  # "at least one of bytes or text must be non-None"; both would be two messages
        assert type(values[0]) in (bytes, type(None)) and type(values[1]) in (str, type(None))

    def take_close(self, message):
        assert set(message) <= {'type', 'code', 'reason'}
        code = message.get('code', 1000)
        assert type(code) is int and (1000 <= code <= 1014 and code not in (1004, 1005, 1006) or 3000 <= code < 5000)
        assert type(message.get('reason') or '') is str and len((message.get('reason') or '').encode()) <= 123
        self.is_over = True

    def take_start(self, message, keys=frozenset(['type', 'status', 'headers'])):
        self.has_begun = True
        super().take_start(message, keys)


class LifespanGrammar:
    """Each message is answered once, with "complete" or "failed"."""

    is_over = False

    def __init__(self, scope):
        self.question = ''

    def take(self, message):
        assert self.question and message['type'] in (self.question + '.complete', self.question + '.failed')
        assert set(message) <= {'type'} | ({'message'} if message['type'].endswith('.failed') else set())
        assert type(message.get('message', '')) is str
        self.is_over = message['type'] != 'lifespan.startup.complete'
        self.question = ''


GRAMMARS = {'http': HTTPGrammar, 'websocket': WebSocketGrammar, 'lifespan': LifespanGrammar}


class Host:
    """Calls an application once.

    :param messages: what ``receive()`` gives. After them it waits for :meth:`put`, or for the end of the response,
                     after which it gives ``http.disconnect`` (section "Disconnect").

    """

    def __init__(self, app, scope, messages=()):
        self.app = app
        self.scope = scope
        self.inbox = list(messages)
        self.arrival = asyncio.Event()
        self.gate = asyncio.Event()  # while it is not set, send() waits: the client does not read
        self.gate.set()
        self.grammar = GRAMMARS.get(scope['type'], LifespanGrammar)(scope)
        self.sent = []
        self.receives = 0  # calls that were given a message
        self.waiting = 0  # calls that wait for one
        self.blocked = 0  # calls of send() that wait
        self.is_gone = False  # send() raises, as it has to since version 2.4
        self.sends_after_end = 0
        self.version = tuple(map(int, scope.get('asgi', {}).get('spec_version', '2.0').split('.')))
        self.complaint = None
        self.task = None

    async def receive(self):
        self.waiting += 1
        try:
            while not self.inbox:
                if self.scope['type'] == 'http' and (self.is_gone or self.grammar.is_over):
                    self.inbox.append(DISCONNECT)
                    break
                self.arrival.clear()
                await self.arrival.wait()
        finally:
            self.waiting -= 1
        self.receives += 1
        message = self.inbox.pop(0)
        if message['type'] == 'websocket.connect':
            self.grammar.is_connected = True
        elif message['type'] == 'websocket.disconnect':
            self.grammar.is_over = self.is_gone = True
        elif message['type'].startswith('lifespan.'):
            self.grammar.question = message['type']
        return message

    async def send(self, message):
        try:
            assert type(message) is dict
            if self.is_gone:
                self.sends_after_end += 1
                if self.version < (2, 4):  # "must be a no-op"
                    return
                raise OSError('the client is gone')
            self.grammar.take(message)
        except Exception as exc:
            self.complaint = self.complaint or (exc if isinstance(exc, AssertionError) else None)
            raise
        self.sent.append(message)
        self.arrival.set()  # the end of the response may be what receive() waits for
        await asyncio.sleep(0)
        self.blocked += 1
        try:
            await self.gate.wait()
        finally:
            self.blocked -= 1

    def put(self, *messages):
        self.inbox += messages
        self.arrival.set()

    def leave(self):
        """Let the client go away."""
        self.is_gone = True
        self.put(DISCONNECT)

    def start(self):
        self.before = asyncio.all_tasks()
        asyncio.get_running_loop().set_exception_handler(self.hear)
        self.task = asyncio.create_task(self.app(self.scope, self.receive, self.send))

    def hear(self, loop, context):
        """Hear of an exception that nobody has retrieved."""
        self.complaint = self.complaint or AssertionError(f'{context["message"]}: {context.get("exception")!r}')

    async def end(self, leaves=0):
        """Wait for the application, raise what it raised; nothing may be left of it, or so many tasks of its own."""
        await asyncio.wait([self.task], timeout=10)
        assert self.task.done(), 'the application has not returned'
        await until(lambda: len(asyncio.all_tasks() - self.before - {self.task}) <= leaves and not self.waiting)
        if self.complaint:
            raise self.complaint
        return self.task.result()

    async def run(self, leaves=0):
        self.start()
        await self.end(leaves)
        assert self.grammar.is_over, f'not complete: {self.sent}'
        return self

    # --- what the application has sent

    @property
    def status(self):
        return self.sent[0]['status']

    @property
    def headers(self):
        """All headers as pairs of str."""
        return [(name.decode(), value.decode()) for name, value in self.sent[0].get('headers', [])]

    def header(self, name):
        """Return the only value of a header, ``None`` if it is absent."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2
        return values[0] if values else None

    @property
    def body(self):
        return b''.join(message.get('body', b'') for message in self.sent[1:])

    @property
    def text(self):
        return self.body.decode()

    def kinds(self):
        return [message['type'].partition('.')[2] for message in self.sent]


async def call(app, scope, *messages):
    """Call an application with a request that is complete, and return the host with the response."""
    return await Host(app, scope, messages or [request()]).run()


async def converse(app, scope, *messages):
    """Call an application with a WebSocket whose client sends these messages, and return what it was sent."""
    host = Host(app, scope, [{'type': 'websocket.connect'}, *messages])
    await host.run()
    return host.sent
