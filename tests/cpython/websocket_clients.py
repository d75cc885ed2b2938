"""WebSocket clients that others wrote, behind one interface.

A message is ``str`` or ``bytes``. ``extension`` is what a client knows of the compression that was agreed on.

"""
import asyncio
import json
from contextlib import ExitStack, suppress

import aiohttp
import websocket
import websockets.exceptions
import websockets.sync.client
from node_process import NodeProcess
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

TIME_LIMIT = 20  # seconds, for every answer


class Refused(Exception):
    """The handshake was answered with another status, or the client does not take the answer."""


class Closed(Exception):
    """The conversation is over: code and reason that the server gave."""


class Websockets:
    """``websockets``."""

    def __init__(self, url, protocols=None, origin=None, compression=None):
        self.stack = ExitStack()
        extensions = [] if compression is None else [ClientPerMessageDeflateFactory(**compression)]
        try:
            self.ws = self.stack.enter_context(websockets.sync.client.connect(
                url, subprotocols=protocols, origin=origin, extensions=extensions, compression=None, max_size=None,
                proxy=None, ping_interval=None, open_timeout=TIME_LIMIT, close_timeout=TIME_LIMIT))
        except websockets.exceptions.InvalidStatus as exc:
            raise Refused(exc.response.status_code) from None
        self.protocol = self.ws.subprotocol
        self.extension = str(self.ws.response.headers.get('Sec-WebSocket-Extensions', ''))

    def send(self, *parts):
        with suppress(websockets.exceptions.ConnectionClosed):  # receive() tells
            self.ws.send(parts[0] if len(parts) == 1 else iter(parts))

    def receive(self):
        try:
            return self.ws.recv(TIME_LIMIT)
        except websockets.exceptions.ConnectionClosed as exc:
            raise Closed(exc.rcvd.code, exc.rcvd.reason) from None

    def ping(self, text):
        assert self.ws.ping(text).wait(TIME_LIMIT)

    def close(self, code=1000, reason=''):
        self.ws.close(code, reason)
        return self.ws.close_code, self.ws.close_reason

    def end(self):
        self.stack.close()


class Aiohttp:
    """``aiohttp``, in an event loop of its own."""

    def __init__(self, url, protocols=None, origin=None, compression=None):
        self.loop = asyncio.new_event_loop()
        self.ws = None
        try:
            self.run(self.connect(url, protocols or (), origin, compression or 0))
        except aiohttp.WSServerHandshakeError as exc:
            self.end()
            raise Refused(exc.status) from None
        self.protocol = self.ws.protocol

    async def connect(self, url, protocols, origin, compress):
        self.session = aiohttp.ClientSession()
        self.ws = await self.session.ws_connect(url, protocols=protocols, origin=origin, compress=compress,
                                                max_msg_size=0, autoclose=False)
        self.extension = self.ws._response.headers.get('Sec-WebSocket-Extensions', '')

    def run(self, coroutine):
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, TIME_LIMIT))

    def send(self, message):
        self.run(self.ws.send_str(message) if isinstance(message, str) else self.ws.send_bytes(message))

    def receive(self):
        message = self.run(self.ws.receive())
        if message.type is aiohttp.WSMsgType.CLOSE:
            self.run(self.ws.close())
            raise Closed(message.data, message.extra)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        return message.data

    def ping(self, text):
        self.ws._autoping = False  # else it does not show the answer
        self.run(self.ws.ping(text.encode()))
        message = self.run(self.ws.receive())
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, text.encode())
        self.ws._autoping = True

    def close(self, code=1000, reason=''):
        self.run(self.ws.close(code=code, message=reason.encode()))
        return self.ws.close_code, reason  # it does not keep that of the server

    def end(self):
        if self.ws:
            self.run(self.ws.close())
        self.run(self.session.close())
        self.loop.close()


class WebsocketClient:
    """``websocket-client``. It knows no compression."""

    def __init__(self, url, protocols=None, origin=None):
        try:
            self.ws = websocket.create_connection(url, TIME_LIMIT, subprotocols=protocols, origin=origin,
                                                  suppress_origin=origin is None)
        except websocket.WebSocketBadStatusException as exc:
            raise Refused(exc.status_code) from None
        except websocket.WebSocketException as exc:
            raise Refused(str(exc)) from None
        self.protocol = self.ws.subprotocol

    def send(self, *parts):
        opcode = websocket.ABNF.OPCODE_TEXT if isinstance(parts[0], str) else websocket.ABNF.OPCODE_BINARY
        for i, part in enumerate(part.encode() if isinstance(part, str) else part for part in parts):
            self.ws.send_frame(websocket.ABNF.create_frame(part, 0 if i else opcode, int(i == len(parts) - 1)))

    def receive(self):
        while True:
            opcode, data = self.ws.recv_data(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:  # it has answered that
                self.ws.shutdown()
                raise Closed(int.from_bytes(data[:2], 'big'), data[2:].decode())
            if opcode != websocket.ABNF.OPCODE_PING:  # and that
                return data.decode() if opcode == websocket.ABNF.OPCODE_TEXT else data

    def ping(self, text):
        self.ws.ping(text)
        assert self.ws.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, text.encode())

    def close(self, code=1000, reason=''):
        self.ws.send_close(code, reason.encode())
        try:
            self.receive()
        except Closed as closed:
            return closed.args

    def end(self):
        self.ws.shutdown()


class Ws:
    """``ws`` of npm, in a process of its own."""

    def __init__(self, url, protocols=None, origin=None, compression=None, **options):
        options['protocols'] = protocols
        options['perMessageDeflate'] = False if compression is None else compression
        if origin:
            options['origin'] = origin
        self.node = NodeProcess('websocket.mjs', url, json.dumps(options))
        first = self.node.read()
        if 'protocol' not in first:
            self.end()
            raise Refused(first.get('refused') or first['error'])
        self.protocol = first['protocol'] or None
        self.extension = first['extensions']

    def send(self, *parts):
        self.node.write(['send', [part if isinstance(part, str) else {'hex': part.hex()} for part in parts]])

    def receive(self):
        event = self.node.read()
        while 'ping' in event:  # it has answered that
            event = self.node.read()
        if 'code' in event:
            raise Closed(event['code'], event['reason'])
        return event['text'] if 'text' in event else bytes.fromhex(event['hex'])

    def ping(self, text):
        self.node.write(['ping', text])
        assert self.node.read() == {'pong': text}

    def close(self, code=1000, reason=''):
        self.node.write(['close', [code, reason]])
        try:
            self.receive()
        except Closed as closed:
            return closed.args

    def end(self):
        self.node.close()


CLIENTS = {'websockets': Websockets, 'aiohttp': Aiohttp, 'websocket-client': WebsocketClient, 'ws': Ws}
