"""WebSocket clients that others wrote, against the server in a process of its own."""
import http.client
import json
import signal
import time
from contextlib import closing, contextmanager

import pytest
from app_process import KINDS, AppProcess
from websocket_clients import CLIENTS, Closed, Refused, Ws

FRAGMENTING = ['websockets', 'websocket-client', 'ws']  # aiohttp sends a message as a frame


@pytest.fixture(scope='module', params=KINDS)
def server(request, tmp_path_factory):
    server = AppProcess('interop_app.py', request.param, tmp_path_factory.mktemp('interop') / 'app.log')
    yield server
    server.stop()


@pytest.fixture(scope='module', params=['asyncio', 'uvloop', 'portable'])
def compressing_server(request, tmp_path_factory):
    server = AppProcess('interop_app.py', request.param, tmp_path_factory.mktemp('interop') / 'app.log')
    yield server
    server.stop()


@contextmanager
def connected(server, client, path, *args, **options):
    peer = CLIENTS[client]('ws://127.0.0.1:%d%s' % (server.port, path), *args, **options)
    try:
        yield peer
    finally:
        peer.end()


def list_ends(server, count=1):
    """Return how the last conversations ended, as their handlers saw it."""
    found = []

    def is_complete():
        found.extend(json.loads(server.get('/ends').partition(b'\r\n\r\n')[2]))
        return len(found) >= count

    server.wait_until(is_complete)
    return found


@pytest.fixture
def no_ends(server):
    """Forget how earlier conversations ended, once none is left."""
    server.wait_until(lambda: server.get('/ends').endswith(b'[]'))


def make_messages(server):
    """Return messages at the edges of the three forms of a length, the empty ones, and all kinds of characters."""
    sizes = [1, 125, 126, 127, 65535, 65536, 65537]
    if server.kind != 'micropython':
        sizes += [200_000, 300_000]
    texts = ['', 'a', 'žluťoučký kůň', '\u20ac\U0001f40e\u0000\n', *('x' * size for size in sizes)]
    return texts + [b'', bytes(range(256)), *(bytes([size & 255]) * size for size in sizes)]


@pytest.mark.parametrize('client', CLIENTS)
def test_messages_come_back(server, client):
    with connected(server, client, '/echo') as peer:
        assert peer.protocol is None
        for message in make_messages(server):
            peer.send(message)
            assert peer.receive() == message
        for i in range(20):  # without waiting
            peer.send('message %d' % i)
        assert [peer.receive() for _ in range(20)] == ['message %d' % i for i in range(20)]
        assert peer.close() == (1000, '')


@pytest.mark.parametrize('client', FRAGMENTING)
def test_fragments(server, client):
    with connected(server, client, '/echo') as peer:
        for parts in [['a', 'b', 'c'], ['', 'a', '', 'ž', ''], [b'a', b'', b'\xff'], ['x' * 30_000, 'y' * 30_000],
                      [b'z'] * 100]:
            peer.send(*parts)
            assert peer.receive() == parts[0][:0].join(parts)


@pytest.mark.parametrize('client', CLIENTS)
def test_pings_of_the_client(server, client):
    with connected(server, client, '/echo') as peer:
        for text in 'ping', 'a', 'x' * 125:
            peer.ping(text)
        peer.send('and now')
        assert peer.receive() == 'and now'


@pytest.mark.parametrize('client', CLIENTS)
def test_pings_of_the_server(server, client):
    with connected(server, client, '/ping') as peer:
        assert peer.receive() == 'pinged'
        peer.send('still here')
        assert peer.receive() == 'still here'


def test_a_ping_of_the_server_arrives(server):
    with connected(server, 'ws', '/ping') as peer:
        assert peer.node.read() == {'ping': 'are you there'}


@pytest.mark.parametrize('client', ['websockets', 'ws'])  # the others answer only while they are asked for a message
def test_who_answers_the_heartbeat_stays(server, client):
    with connected(server, client, '/heartbeat') as peer:
        for i in range(3):
            time.sleep(0.5)  # there is nothing to poll: what is shown is that nothing happens
            peer.send('round %d' % i)
            assert peer.receive() == 'round %d' % i


def test_who_does_not_answer_the_heartbeat_is_gone(server, no_ends):
    with connected(server, 'ws', '/heartbeat', autoPong=False) as peer:
        assert peer.node.read() == {'ping': ''}
        assert list_ends(server) == [[1006, '']]
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert closed.value.args == (1006, '')


@pytest.mark.parametrize('client', CLIENTS)
@pytest.mark.parametrize('offered, chosen', [
    (['chat.v1'], 'chat.v1'),
    (['chat.v1', 'chat.v2'], 'chat.v2'),
    (['other', 'chat.v1'], 'chat.v1'),
    (None, None),
])
def test_subprotocols(server, client, offered, chosen):
    with connected(server, client, '/protocols', offered) as peer:
        assert peer.protocol == chosen
        assert peer.receive() == str(chosen)


@pytest.mark.parametrize('client', ['websockets', 'aiohttp'])
def test_no_subprotocol_in_common(server, client):
    with connected(server, client, '/protocols', ['other']) as peer:
        assert peer.protocol is None


@pytest.mark.parametrize('client, reason', [('websocket-client', 'Invalid WebSocket Header'),
                                            ('ws', 'Server sent no subprotocol')])
def test_a_client_that_insists_on_its_subprotocol(server, client, reason):
    with pytest.raises(Refused) as refused:
        connected(server, client, '/protocols', ['other']).__enter__()
    assert refused.value.args == (reason,)


@pytest.mark.parametrize('client', CLIENTS)
@pytest.mark.parametrize('code, reason', [
    (1000, ''),
    (1000, 'done'),
    (1001, 'away'),
    pytest.param(3000, 'ž' * 61, id='3000-long'),
    (4999, ''),
])
def test_close_codes_of_the_client(server, no_ends, client, code, reason):
    with connected(server, client, '/echo') as peer:
        assert peer.close(code, reason)[0] == code
        assert list_ends(server) == [[code, reason]]


@pytest.mark.parametrize('client', CLIENTS)
@pytest.mark.parametrize('code', [1000, 1008, 1011, 3000, 4999])
def test_close_codes_of_the_server(server, no_ends, client, code):
    with connected(server, client, '/close/%d' % code) as peer:
        assert peer.receive() == 'goodbye'
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert closed.value.args == (code, 'příště')
        answer = code if client in ('websockets', 'ws') else 1000  # always, with the others
        assert list_ends(server)[0][0] == answer


@pytest.mark.parametrize('client', CLIENTS)
def test_the_end_of_a_handler(server, client):
    with connected(server, client, '/return') as peer:
        assert peer.receive() == 'goodbye'
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert closed.value.args == (1000, '')


@pytest.mark.parametrize('client', CLIENTS)
def test_an_exception_in_a_handler(server, client):
    with connected(server, client, '/fail') as peer:
        peer.send('now')
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert closed.value.args[0] == 1011


@pytest.mark.parametrize('client', CLIENTS)
def test_a_message_that_is_too_long(server, no_ends, client):
    with connected(server, client, '/echo') as peer:
        peer.send(b'x' * 300_001)
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert closed.value.args[0] == 1009


@pytest.mark.parametrize('client', FRAGMENTING)
def test_a_message_that_is_too_long_in_sum(server, client):
    with connected(server, client, '/echo') as peer:
        peer.send(*['x' * 75_000] * 4, 'y')
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert closed.value.args[0] == 1009


@pytest.mark.parametrize('client', CLIENTS)
def test_a_busy_handler_is_cancelled(server, no_ends, client):
    with connected(server, client, '/busy') as peer:
        peer.close()
    assert list_ends(server) == ['cancelled']


@pytest.mark.parametrize('client', CLIENTS)
def test_origins(server, client):
    for origin in None, 'https://example.com':
        with connected(server, client, '/origins', None, origin) as peer:
            peer.send('let in')
            assert peer.receive() == 'let in'
    for origin in 'https://evil.example', 'http://example.com', 'https://example.com:8443':
        with pytest.raises(Refused) as refused:
            connected(server, client, '/origins', None, origin).__enter__()
        assert refused.value.args == (403,)


@pytest.mark.parametrize('client', CLIENTS)
def test_a_page_is_no_conversation(server, client):
    for path, status in ('/', 200), ('/nothing', 404):
        with pytest.raises(Refused) as refused:
            connected(server, client, path).__enter__()
        assert refused.value.args == (status,)


def test_another_version(server):
    with pytest.raises(Refused) as refused:
        Ws('ws://127.0.0.1:%d/echo' % server.port, protocolVersion=8)
    assert refused.value.args == (426,)


HANDSHAKE = {'Upgrade': 'websocket', 'Connection': 'Upgrade', 'Sec-WebSocket-Version': '13',
             'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA=='}


@pytest.mark.parametrize('change, status', [
    ({'Upgrade': None}, 400),
    ({'Upgrade': 'h2c'}, 400),
    ({'Connection': None}, 400),
    ({'Connection': 'keep-alive'}, 400),
    ({'Sec-WebSocket-Key': None}, 400),
    ({'Sec-WebSocket-Key': 'short'}, 400),
    ({'Sec-WebSocket-Version': None}, 400),
    ({'Sec-WebSocket-Version': '14'}, 426),
    ({'Connection': 'keep-alive, upgrade', 'Upgrade': 'WebSocket'}, 101),
])
def test_handshakes(server, change, status):
    headers = {name: value for name, value in {**HANDSHAKE, **change}.items() if value}
    with closing(http.client.HTTPConnection('127.0.0.1', server.port, timeout=10)) as connection:
        connection.request('GET', '/echo', headers=headers)
        response = connection.getresponse()
        assert response.status == status
        assert response.getheader('Sec-WebSocket-Version') == ('13' if status == 426 else None)
        if status == 101:
            assert response.getheader('Sec-WebSocket-Accept') == 'ICX+Yqv66kxgM0FcWaLWlFLwTAI='
        response.close()


@pytest.mark.parametrize('client', CLIENTS)
@pytest.mark.parametrize('kind', KINDS)
def test_the_server_stops(kind, client, tmp_path):
    server = AppProcess('interop_app.py', kind, tmp_path / 'app.log')
    with connected(server, client, '/echo') as peer:
        peer.send('hello')
        assert peer.receive() == 'hello'
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert closed.value.args[0] == 1001
        assert server.process.wait(10) == 0
    assert server.log.read_text() == ''


# Compression

#: What the three libraries offer; aiohttp takes a number of bits.
OFFERS = {
    'websockets': [
        {},
        {'server_no_context_takeover': True, 'client_no_context_takeover': True},
        {'server_max_window_bits': 9, 'client_max_window_bits': 9},
        {'server_max_window_bits': 15, 'client_max_window_bits': True},
    ],
    'aiohttp': [15, 10],
    'ws': [
        {},
        {'threshold': 0},
        {'serverNoContextTakeover': True, 'clientNoContextTakeover': True, 'threshold': 0},
        {'serverMaxWindowBits': 9, 'clientMaxWindowBits': 9, 'threshold': 0},
        {'serverMaxWindowBits': 15, 'clientMaxWindowBits': 15, 'threshold': 0},
    ],
}




@pytest.mark.parametrize('setting', ['default', 'always', 'small', 'large', 'forgetful'])
@pytest.mark.parametrize('client, offer', [(client, offer) for client in OFFERS for offer in OFFERS[client]])
def test_compression(compressing_server, client, offer, setting):
    text = 'All work and no play makes Jack a dull boy, dull boy, dull boy. Žluťoučký kůň. ' * 1000
    data = bytes(i * i >> 7 & 255 for i in range(70_000))
    with connected(compressing_server, client, '/compressed/' + setting, compression=offer) as peer:
        assert 'permessage-deflate' in str(peer.extension)
        for message in [text, '', b'', 'short', data, text, data[:300], text[:300], text[:300], 'x' * 299_999]:
            peer.send(message)
            assert peer.receive() == message
        if client in FRAGMENTING:
            peer.send(text[:1000], '', text[1000:50_000])
            assert peer.receive() == text[:50_000]
        peer.ping('not compressed')
        assert peer.close(4000, 'reason')[0] == 4000


@pytest.mark.parametrize('client, offer', [('websockets', {}), ('aiohttp', 15), ('ws', {})])
def test_a_message_that_is_too_long_when_inflated(compressing_server, client, offer):
    with connected(compressing_server, client, '/compressed/default', compression=offer) as peer:
        peer.send('x' * 5_000_000)  # about 5 KB
        with pytest.raises(Closed) as closed:
            peer.receive()
        assert closed.value.args[0] == 1009


@pytest.mark.parametrize('client, offer', [('websockets', {}), ('aiohttp', 15), ('ws', {})])
def test_compression_that_the_server_does_not_offer(server, client, offer):
    with connected(server, client, '/echo', compression=offer) as peer:
        assert not peer.extension
        peer.send('plain ' * 1000)
        assert peer.receive() == 'plain ' * 1000
