"""One application, the same behaviour under every host. What differs is in DIFFERENCES, and nowhere else."""
import hashlib
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hosts import HOSTS, HostProcess, ask, chunked, read_answer
from websocket_clients import Closed, Refused, Websockets

ASGI = ' '.join(name for name in HOSTS if HOSTS[name].interface == 'asgi')
WSGI = ' '.join(name for name in HOSTS if HOSTS[name].interface == 'wsgi')


class Difference(NamedTuple):
    """What some hosts do in another way than the built-in server, and why an application cannot change that."""

    hosts: str
    case: str
    value: Any
    why: str


UVICORN = 'uvicorn-httptools uvicorn-h11 gunicorn-uvicorn'
CHUNKED = 'The host does not decode the chunked transfer coding.'
LARGE = b'0123456789' * 90000
DIFFERENCES = [
    # what the protocol of the interface cannot tell
    Difference(ASGI + ' ' + WSGI, 'an empty query', [200, {'query': None, 'url': '/echo/a'}, {}],
               'Neither ASGI nor WSGI tells "/a?" from "/a".'),
    # the threads that plain functions run in
    Difference('builtin ' + ASGI, 'plain functions at a time', 5,
               'Plain functions run in the threads of asyncio, which are 4 more than there are processors.'),
    # WSGI
    Difference(WSGI, 'a body arrives', 'at once', "WSGI's input waits until it has as many bytes as it is asked for."),
    Difference('gunicorn-sync gunicorn-gthread wsgiref granian-wsgi', 'a header that is sent twice',
               [200, {'x-test': 'a,b'}, {}], 'CGI variables: the host has joined them.'),
    Difference('gunicorn-sync gunicorn-gthread wsgiref', 'cookies in two headers', [200, {'a': '1,b=2'}, {}],
               'CGI variables: the host has joined them. Only HTTP/2 allows two.'),
    Difference('waitress uwsgi', 'cookies in two headers', [200, {'a': '1, b=2'}, {}],
               'CGI variables: the host has joined them. Only HTTP/2 allows two.'),
    Difference(WSGI + ' daphne', 'an underscore in a name', [200, {'x_test': 'absent'}, {}],
               'CGI variables do not tell it from a hyphen, so hosts drop it.'),
    Difference('gunicorn-sync', 'coroutines at a time', 1, 'One request at a time.'),
    Difference('gunicorn-sync', 'plain functions at a time', 1, 'One request at a time.'),
    Difference('granian-wsgi gunicorn-gthread waitress uwsgi', 'coroutines at a time', 60,
               'A request holds a thread of the host.'),
    Difference('granian-wsgi waitress uwsgi wsgiref', 'websocket', 501, 'The host has no way to do it under WSGI.'),
    # what hosts do in their own way
    Difference('gunicorn-sync wsgiref uwsgi', 'keep-alive', ['not read'],
               'The host closes the connection after each response.'),
    Difference('daphne', 'a plain generator', 'at the end',
               'Plain generators run in the event loop; Twisted sends when that is free.'),
    Difference('waitress', 'a chunked stream up', [200, {'size': len(LARGE), 'body': 0}, {}],
               'waitress has all of a body, and knows its length, before the application is called.'),
    Difference('waitress', 'the head of a stream', 'with the first piece', 'waitress sends both together.'),
    Difference('daphne waitress', 'a body that is cut off', 'never heard of',
               'The host calls the application when it has all of the body.'),
    Difference('daphne', 'a body arrives', 'at once', 'daphne calls the application when it has all of the body.'),
    Difference('wsgiref uwsgi', 'a chunked body', [411, b'Length required', {}], CHUNKED),
    Difference('wsgiref uwsgi', 'an empty chunked body', [411, 'Length required', {}], CHUNKED),
    Difference('wsgiref uwsgi', 'a chunked upload', [411, 'Length required', {}], CHUNKED),
    Difference('wsgiref uwsgi', 'a chunked stream up', [411, 'Length required', {}], CHUNKED),
    Difference('wsgiref uwsgi', 'a chunked body that is too large', [411, 'Length required', {}], CHUNKED),
    Difference('wsgiref uwsgi', '100-continue', 'not told', 'The host does not know 100 Continue.'),
    Difference('daphne', 'a stream that fails', 'never', 'daphne leaves the connection open.'),
    Difference('granian-wsgi', 'a stream that fails', 'complete', 'granian ends the response in order.'),
    Difference('granian-wsgi', 'a response', [201, 'přesně', {'X-Text': 'žluť'.encode().decode('latin-1')}],
               'granian encodes header values, which are bytes in the form of Latin-1, as UTF-8.'),
    Difference('wsgiref uwsgi', 'a stream that fails', 'complete',
               'The response is HTTP/1.0 in form: its end is the end of the connection.'),
    Difference('wsgiref granian-wsgi', 'an encoded slash', [404, 'Not found', {}],
               'The host gives the decoded path alone.'),
    Difference('wsgiref granian-wsgi', 'the URL as it was sent', [200, {'url': '/echo/caf%C3%A9/b?x=%20%c3%a9'}, {}],
               'The host gives the decoded path alone.'),
    Difference('uwsgi', 'dots', [200, {'path': '/echo/b/c'}, {}], 'uWSGI resolves them.'),
    Difference('granian-wsgi', 'UTF-8 in a header', [200, {'x-test': ''}, {}], 'granian drops such values.'),
    Difference('granian-wsgi', 'Latin-1 in a header', [200, {'x-test': ''}, {}], 'granian drops such values.'),
    Difference('waitress wsgiref', 'exit status', -15, 'The host leaves SIGTERM to the system.'),
    Difference('wsgiref', '204', [204, '', {'Transfer-Encoding': None, 'Content-Type': None}],
               'wsgiref adds a length of 0.'),
    Difference('hypercorn', 'a startup that fails is an error', False, 'hypercorn exits with status 0.'),
    Difference('uvicorn-httptools gunicorn-uvicorn', 'a method that nobody knows',
               [400, 'Invalid HTTP request received.', {}], 'httptools knows a list of methods.'),
    Difference('uvicorn-httptools gunicorn-uvicorn', 'a stream to HTTP/1.0',
               [200, 'jedna dvě three', {'Transfer-Encoding': 'chunked'}], 'uvicorn does not look at the version.'),
    Difference('uvicorn-httptools uvicorn-h11', 'exit status', -15,
               'uvicorn shuts down in order, then ends by the signal that it got.'),
    Difference('uvicorn-httptools uvicorn-h11', 'exit status after shutdown()', -15,
               'uvicorn shuts down in order, then ends by the signal that it got.'),
    Difference('hypercorn', 'the client of a websocket closes', 'websocket 1006 ', 'hypercorn does not tell how.'),
    Difference('granian-asgi daphne', 'the client of a websocket closes', 'websocket {code} ',
               'The host does not give the reason.'),
    Difference('daphne', 'an empty message', 'dropped', 'daphne does not send empty messages.'),
    Difference('daphne', '/ws/close/1000', ['goodbye', 1000, ''], 'daphne sends no reason.'),
    Difference('daphne', '/ws/close/4321', ['goodbye', 4321, ''], 'daphne sends no reason.'),
    Difference('daphne', '/ws/fail', None, 'daphne does not send the codes of the application below 3000 but 1000.'),
    Difference('daphne', '/ws/abort', None, 'daphne does not send the codes of the application below 3000 but 1000.'),
    Difference('hypercorn', 'data behind a handshake', 400, 'Hypercorn refuses a handshake with data behind it.'),
    Difference('daphne', '/ws/echo', None, 'daphne does not send the codes of the application below 3000 but 1000.'),
    Difference('daphne', 'websocket without a route', 403, 'daphne has no denial responses.'),
    Difference('daphne', 'websocket to a page', 403, 'daphne has no denial responses.'),
    Difference('daphne', 'websocket to a page that fails', 403, 'daphne has no denial responses.'),
    Difference(UVICORN + ' granian-asgi', 'the client of a websocket vanishes', '1005',
               'The host says that it has closed without a code.'),
    Difference('builtin ' + WSGI, 'the client of a stream that waits leaves', 'with the next piece',
               'Noticed when something is sent.'),
    Difference(WSGI, 'the client of idle events leaves', 'with the next piece', 'Noticed when something is sent.'),
    Difference('daphne', 'lifespan', [], 'daphne does not have the lifespan protocol.'),
    Difference('daphne', 'lifespan state', {'kind': 'http', 'state': None},
               'daphne does not have the lifespan protocol.'),
]


def expected(host, case, usual):
    """Return what is expected of a host."""
    found = [difference.value for difference in DIFFERENCES
             if difference.case == case and host.name in difference.hosts.split()]
    assert len(found) < 2, 'two differences for one case'
    return found[0] if found else usual


# One process for each host, as long as its cases last

@pytest.fixture(params=HOSTS, scope='module')
def process(request, tmp_path_factory):
    process = HostProcess(request.param, tmp_path_factory.mktemp(request.param))
    yield process
    status = process.stop()
    assert status == expected(process, 'exit status', 0), process.tail()
    usual = ['shutdown'] if process.interface == 'asgi' else []
    assert process.notes() == expected(process, 'lifespan', usual), process.tail()


@pytest.fixture
def host(process):
    """The host, with an empty journal. What it prints meanwhile is shown if the test fails."""
    start = process.log.stat().st_size
    process.forget_notes()
    yield process
    process.forget_notes()
    print(process.log.read_bytes()[start:].decode(errors='replace'))


# Requests and what comes back

class Exchange(NamedTuple):
    request: bytes
    status: int = 200
    #: text, bytes, a list for JSON, or a dictionary for a part of it
    body: Any = None
    #: ``None`` for one that is not to be there
    headers: 'dict[str, str | list[str] | None]' = {}


def form(text):
    return ask('POST', '/form', 'Content-Type: application/x-www-form-urlencoded', body=text.encode())


def post_json(data, kind='application/json'):
    return ask('POST', '/json', 'Content-Type: ' + kind, body=data)


FILE = bytes(range(256)) * 200
MULTIPART = (b'--xyz\r\nContent-Disposition: form-data; name="title"\r\n\r\n' + 'nápis'.encode()
             + b'\r\n--xyz\r\nContent-Disposition: form-data; name="file"; filename="' + 'žluť.bin'.encode()
             + b'"\r\nContent-Type: image/x-own\r\n\r\n' + FILE + b'\r\n--xyz--\r\n')
ROOM = 1 << 20  # Request.max_content_length
TEXT = 'text/plain; charset=UTF-8'
JSON = 'application/json; charset=UTF-8'

METHODS = {
    **{method: Exchange(ask(method, '/echo/a'), 200, {'method': method})
       for method in ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY']},
    'HEAD': Exchange(ask('HEAD', '/'), 200, '', {'Content-Length': '5', 'Content-Type': TEXT}),
    'OPTIONS': Exchange(ask('OPTIONS', '/form'), 200, '', {'Allow': 'POST, OPTIONS', 'Content-Length': '0'}),
    'a method that the route does not have': Exchange(
        ask('PUT', '/'), 405, 'Method not allowed', {'Allow': 'GET, HEAD, OPTIONS'}),
    'a method that nobody knows': Exchange(
        ask('BREW', '/'), 405, 'Method not allowed', {'Allow': 'GET, HEAD, OPTIONS'}),
}
PATHS = {
    'percent-encoded UTF-8': Exchange(ask('GET', '/echo/caf%C3%A9'), 200, {'path': '/echo/café', 'rest': 'café'}),
    'four bytes of UTF-8': Exchange(ask('GET', '/item/%F0%9F%90%8E'), 200, ['🐎']),
    'an encoded space': Exchange(ask('GET', '/item/a%20b'), 200, ['a b']),
    'a plus is a plus': Exchange(ask('GET', '/item/a+b'), 200, ['a+b']),
    'an encoded percent sign': Exchange(ask('GET', '/item/100%25'), 200, ['100%']),
    'a percent sign that is encoded twice': Exchange(ask('GET', '/item/%2541'), 200, ['%41']),
    'an encoded question mark': Exchange(ask('GET', '/echo/a%3Fb?c'), 200, {'rest': 'a?b', 'query': 'c'}),
    'an encoded slash': Exchange(ask('GET', '/item/a%2Fb'), 200, ['a/b']),
    'no UTF-8': Exchange(ask('GET', '/item/%E9'), 200, ['é']),
    'two slashes': Exchange(ask('GET', '/echo//a//b'), 200, {'path': '/echo//a//b', 'rest': '/a//b'}),
    'a slash at the end': Exchange(ask('GET', '/echo/a/'), 200, {'path': '/echo/a/'}),
    'dots': Exchange(ask('GET', '/echo/a/../b/./c'), 200, {'path': '/echo/a/../b/./c'}),
    'other characters': Exchange(ask('GET', "/echo/;a=1,b:@&=$!*'()~"), 200, {'rest': ";a=1,b:@&=$!*'()~"}),
    'upper and lower case': Exchange(ask('GET', '/ITEM/a'), 404, 'Not found'),
    'a number': Exchange(ask('GET', '/number/-42'), 200, [-42]),
    'no number': Exchange(ask('GET', '/number/x'), 404, 'Not found'),
    'no route': Exchange(ask('GET', '/missing'), 404, 'Not found', {'Content-Type': TEXT}),
    'a long path': Exchange(ask('GET', '/item/' + 'x' * 4000), 200, ['x' * 4000]),
    'the URL as it was sent': Exchange(ask('GET', '/echo/caf%c3%a9%2fb?x=%20%c3%a9'), 200,
                                       {'url': '/echo/caf%c3%a9%2fb?x=%20%c3%a9'}),
}
QUERIES = {
    'a query': Exchange(ask('GET', '/args?a=1&b=2&a=3'), 200, {'a': ['1', '3'], 'b': ['2']}),
    'an encoded query': Exchange(ask('GET', '/args?caf%C3%A9=a+b%26c&d='), 200, {'café': ['a b&c'], 'd': ['']}),
    'the query as it was sent': Exchange(ask('GET', '/echo/a?x=%C3%A9+%20&y'), 200, {'query': 'x=%C3%A9+%20&y'}),
    'no query': Exchange(ask('GET', '/echo/a'), 200, {'query': None, 'url': '/echo/a'}),
    'an empty query': Exchange(ask('GET', '/echo/a?'), 200, {'query': '', 'url': '/echo/a?'}),
    'a question mark in a query': Exchange(ask('GET', '/args?a=b?c'), 200, {'a': ['b?c']}),
}
HEADERS = {
    'a header': Exchange(ask('GET', '/headers', 'X-Test: a b', 'Accept: */*'), 200, {'x-test': 'a b', 'accept': '*/*'}),
    'the host': Exchange(ask('GET', '/headers'), 200, {'host': 'localhost:5000'}),
    'a header that is sent twice': Exchange(ask('GET', '/headers', 'X-Test: a', 'X-Test: b'), 200, {'x-test': 'a, b'}),
    'an empty header': Exchange(ask('GET', '/headers', 'X-Test:'), 200, {'x-test': ''}),
    'white space around a header': Exchange(ask('GET', '/headers', 'X-Test: \t a \t '), 200, {'x-test': 'a'}),
    'UTF-8 in a header': Exchange(ask('GET', '/headers', 'X-Test: žluť'), 200, {'x-test': 'žluť'}),
    'Latin-1 in a header': Exchange(ask('GET', '/headers', 'X-Test: ZZZ').replace(b'ZZZ', b'caf\xe9'), 200,
                                    {'x-test': 'café'}),
    'a long header': Exchange(ask('GET', '/headers', 'X-Test: ' + 'x' * 6000), 200, {'x-test': 'x' * 6000}),
    'many headers': Exchange(ask('GET', '/headers', *['X-%d: %d' % (n, n) for n in range(60)]), 200,
                             {'x-%d' % n: str(n) for n in range(60)}),
    'an underscore in a name': Exchange(ask('GET', '/headers', 'X_Test: a'), 200, {'x_test': 'a'}),
    'cookies': Exchange(ask('GET', '/cookies', 'Cookie: a=1; b="2"; c=%C3%A9'), 200,
                        {'a': '1', 'b': '"2"', 'c': '%C3%A9'}),
    'cookies in two headers': Exchange(ask('GET', '/cookies', 'Cookie: a=1', 'Cookie: b=2'), 200, {'a': '1', 'b': '2'}),
    'the client': Exchange(ask('GET', '/client'), 200, {'address': '127.0.0.1', 'scheme': 'http', 'version': '1.1'}),
    'HTTP/1.0': Exchange(b'GET /client HTTP/1.0\r\n\r\n', 200, {'address': '127.0.0.1', 'version': '1.0'}),
}
BODIES = {
    'a body': Exchange(ask('POST', '/body', 'Content-Type: text/x-own', body=b'\0\xff body'), 200, b'\0\xff body',
                       {'Content-Type': 'text/x-own', 'Content-Length': '7'}),
    **{'a body with ' + method: Exchange(ask(method, '/body', body=b'body'), 200, b'body')
       for method in ['GET', 'PUT', 'PATCH', 'DELETE', 'QUERY']},
    'an empty body': Exchange(ask('POST', '/length', 'Content-Length: 0'), 200, {'length': 0, 'size': 0}),
    'no body': Exchange(ask('POST', '/length'), 200, {'length': 0, 'size': 0}),
    'a chunked body': Exchange(ask('POST', '/body', 'Transfer-Encoding: chunked', body=chunked(b'one ', b'two')),
                               200, b'one two'),
    'an empty chunked body': Exchange(ask('POST', '/length', 'Transfer-Encoding: chunked', body=chunked()), 200,
                                      {'length': 0, 'size': 0}),
    'a form': Exchange(form('a=1&b=x+y&a=%C5%BE'), 200, {'a': ['1', 'ž'], 'b': ['x y']}),
    'an empty form': Exchange(form(''), 200, {}),
    'no form': Exchange(ask('POST', '/form', 'Content-Type: text/plain', body=b'a=1'), 200, {}),
    'JSON': Exchange(post_json('{"a": [1, 2.5, null, "ž"]}'.encode()), 200, {'json': {'a': [1, 2.5, None, 'ž']}}),
    'JSON of a kind': Exchange(post_json(b'[1]', 'application/ld+json; charset=utf-8'), 200, {'json': [1]}),
    'no JSON': Exchange(post_json(b'[1]', 'text/plain'), 200, {'json': None}),
    'malformed JSON': Exchange(post_json(b'[1'), 400, 'Bad request'),
    'an upload': Exchange(ask('POST', '/upload', 'Content-Type: multipart/form-data; boundary=xyz', body=MULTIPART),
                          200, {'title': 'nápis', 'name': 'žluť.bin', 'type': 'image/x-own',
                                'sha256': hashlib.sha256(FILE).hexdigest()}),
    'a chunked upload': Exchange(
        ask('POST', '/upload', 'Content-Type: multipart/form-data; boundary=xyz', 'Transfer-Encoding: chunked',
            body=chunked(MULTIPART[:1000], MULTIPART[1000:])), 200, {'sha256': hashlib.sha256(FILE).hexdigest()}),
    'a malformed upload': Exchange(
        ask('POST', '/upload', 'Content-Type: multipart/form-data; boundary=xyz', body=MULTIPART[:-20]), 400),
    'a stream up': Exchange(ask('POST', '/digest', body=LARGE), 200,
                            {'sha256': hashlib.sha256(LARGE).hexdigest(), 'size': len(LARGE), 'body': 0}),
    'a chunked stream up': Exchange(
        ask('POST', '/digest', 'Transfer-Encoding: chunked',
            body=chunked(*[LARGE[n:n + 50000] for n in range(0, len(LARGE), 50000)])), 200,
        {'sha256': hashlib.sha256(LARGE).hexdigest(), 'size': 0, 'body': 0}),
    'lines of a stream': Exchange(ask('POST', '/lines', body=b'one\ntwo\r\nthree'), 200, ['one', 'two', 'three']),
    'a body that nobody reads': Exchange(ask('POST', '/unread', body=LARGE), 403, 'not read'),
    'a body that is too large': Exchange(ask('POST', '/digest', body=b'x' * (ROOM + 1)), 413, 'Payload too large'),
    'a chunked body that is too large': Exchange(
        ask('POST', '/digest', 'Transfer-Encoding: chunked', body=chunked(*[b'x' * 65536] * 17)), 413,
        'Payload too large'),
}
RESPONSES = {
    'a response': Exchange(
        ask('GET', '/response'), 201, 'přesně',
        {'X-One': 'a', 'X-Two': ['b', 'c'], 'X-Text': 'žluť', 'Content-Type': 'text/x-own', 'Content-Length': '8',
         'Set-Cookie': ['a=1; Path=/; HttpOnly', 'b=2; Max-Age=60; SameSite=Lax',
                        'c=; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0']}),
    'HEAD of a response': Exchange(ask('HEAD', '/response'), 201, '',
                                   {'X-One': 'a', 'X-Two': ['b', 'c'], 'Content-Length': '8'}),
    'JSON in a response': Exchange(ask('GET', '/item/a'), 200, ['a'], {'Content-Type': JSON, 'Content-Length': '5'}),
    'an empty response': Exchange(ask('GET', '/empty'), 200, '', {'Content-Length': '0', 'Content-Type': TEXT}),
    '204': Exchange(ask('GET', '/nothing'), 204, '',
                    {'Content-Length': None, 'Transfer-Encoding': None, 'Content-Type': None}),
    '304': Exchange(ask('GET', '/unchanged'), 304, '', {'ETag': '"7"', 'Transfer-Encoding': None}),
    'a redirection': Exchange(ask('GET', '/redirect'), 303, '', {'Location': '/item/caf%C3%A9?a=b'}),
    'a large response': Exchange(ask('GET', '/bytes/300000'), 200, 'x' * 300000, {'Content-Length': '300000'}),
    'a plain function': Exchange(ask('GET', '/sync/a'), 200, 'sync a'),
    'a file': Exchange(ask('GET', '/file'), 200, 'The content of a file.\n',
                       {'Content-Length': '23', 'Content-Type': 'text/plain', 'Cache-Control': 'max-age=60'}),
    'HEAD of a file': Exchange(ask('HEAD', '/file'), 200, '', {'Content-Length': '23', 'Content-Type': 'text/plain'}),
    'a range of a file': Exchange(ask('GET', '/file', 'Range: bytes=4-10'), 206, 'content',
                                  {'Content-Range': 'bytes 4-10/23', 'Content-Length': '7'}),
    'no such range': Exchange(ask('GET', '/file', 'Range: bytes=99-'), 416, None, {'Content-Range': 'bytes */23'}),
    'hooks': Exchange(ask('GET', '/hooked/user'), 200, ['eva', '/hooked', '/hooked/user'],
                      {'X-After': 'GET', 'X-Later': 'eva'}),
    'a hook that answers': Exchange(ask('GET', '/hooked/user', 'X-Refuse: 1'), 403, 'refused', {'X-After': 'GET'}),
}
ERRORS = {
    'abort': Exchange(ask('GET', '/abort'), 418, 'short and stout'),
    'an exception': Exchange(ask('GET', '/raise'), 500, 'Internal server error', {'Content-Type': TEXT}),
    'an exception in a plain function': Exchange(ask('GET', '/sync-raise'), 500, 'Internal server error'),
    'an exception with HEAD': Exchange(ask('HEAD', '/raise'), 500, '', {'Content-Length': '21'}),
    'an exception with a handler': Exchange(ask('GET', '/raise/known'), 409, {'error': 'which one'}),
    'a status with a handler': Exchange(ask('GET', '/gone'), 410, 'gone for good'),
}
STREAMS = {
    'an async generator': Exchange(ask('GET', '/stream/async'), 200, 'jedna dvě three', {'Content-Type': TEXT}),
    'an iterator': Exchange(ask('GET', '/stream/sync'), 200, 'jedna dvě three', {'Content-Type': TEXT}),
    'a reader': Exchange(ask('GET', '/stream/read'), 200, 'one two'),
    'a stream with a length': Exchange(ask('GET', '/stream/length'), 200, 'one two',
                                       {'Content-Length': '7', 'Transfer-Encoding': None}),
    'a large stream': Exchange(ask('GET', '/stream/large'), 200, b''.join([bytes([n]) * 10000 for n in range(200)])),
    'an empty stream': Exchange(ask('GET', '/stream/none'), 200, ''),
    'HEAD of a stream': Exchange(ask('HEAD', '/stream/async'), 200, '', {'Content-Type': TEXT}),
    'HEAD of a stream with a length': Exchange(ask('HEAD', '/stream/length'), 200, '', {'Content-Length': '7'}),
    'a stream to HTTP/1.0': Exchange(b'GET /stream/async HTTP/1.0\r\n\r\n', 200, 'jedna dvě three',
                                     {'Transfer-Encoding': None}),
    'a stream for 204': Exchange(ask('GET', '/stream/no-content'), 204, '', {'Transfer-Encoding': None}),
    'events': Exchange(
        ask('GET', '/events', 'Last-Event-ID: 6'), 200,
        'event: kůň\nid: 7\ndata: first\ndata: second\n\ndata: {"after": "6"}\n\n',
        {'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache', 'Content-Length': None}),
    'events that are refused': Exchange(ask('GET', '/events/refused'), 403, 'no events'),
}
EXCHANGES = {**METHODS, **PATHS, **QUERIES, **HEADERS, **BODIES, **RESPONSES, **ERRORS, **STREAMS}


def see_body(answer, like):
    """Return the body of an answer in the form of another one."""
    if isinstance(like, dict) and answer.headers.get('Content-Type', '').startswith('application/json'):
        return {name: answer.json.get(name, 'absent') for name in like} if like else answer.json
    if isinstance(like, list):
        return answer.json
    return like if like is None else answer.body if isinstance(like, bytes) else answer.text


def see_header(answer, name, like):
    values = [value.encode('latin-1').decode() for value in answer.headers.get_all(name, [])]
    return values if isinstance(like, list) else ', '.join(values) if values else None


@pytest.mark.parametrize('case', EXCHANGES)
def test_exchange(host, case):
    request, *usual = EXCHANGES[case]
    status, body, headers = expected(host, case, usual)
    answer = host.exchange(request)
    seen = answer.status, see_body(answer, body), {name: see_header(answer, name, headers[name]) for name in headers}
    assert seen == (status, body, headers)
    assert answer.is_complete


def test_there_are_enough_cases():
    assert len(EXCHANGES) == sum(map(len, [METHODS, PATHS, QUERIES, HEADERS, BODIES, RESPONSES, ERRORS, STREAMS])) > 60


def test_every_difference_is_about_a_host_and_a_case():
    source = Path(__file__).read_text()
    for difference in DIFFERENCES:
        assert set(difference.hosts.split()) <= HOSTS.keys()
        assert source.count(repr(difference.case)) > 1, difference
        assert difference.why.endswith('.')


# Connections

def test_a_file_that_the_client_has_is_not_sent_again(host):
    first = host.get('/file')
    again = host.get('/file', 'If-None-Match: ' + first.headers['ETag'])
    assert (again.status, again.body, again.headers['ETag']) == (304, b'', first.headers['ETag'])


def test_a_connection_serves_one_request_after_the_other(host):
    texts = expected(host, 'keep-alive', ['not read', 'body 1', 'not read', 'body 3'])
    with host.connect() as connection:
        for n, text in enumerate(texts):
            connection.sendall(ask('POST', '/body' if n % 2 else '/unread', body=b'body %d' % n, is_kept=True))
            assert read_answer(connection).text == text
        if len(texts) == 1:
            assert connection.recv(1) == b''


def test_a_client_that_expects_to_be_told_to_continue(host):
    head = ask('POST', '/body', 'Expect: 100-continue', 'Content-Length: 4')
    with host.connect(head) as connection:
        if expected(host, '100-continue', 'told') == 'told':
            data = b''
            while not data.endswith(b'\r\n\r\n'):
                data += connection.recv(1)
            assert data.startswith((b'HTTP/1.1 100 Continue\r\n', b'HTTP/1.1 100 \r\n'))
        connection.sendall(b'body')
        assert read_answer(connection).body == b'body'


def test_a_background_task_goes_on_after_its_request(host):
    assert host.get('/background').text == 'begun'
    host.wait_for_note('background')


# Streams

@pytest.mark.parametrize('target', ['/gated/async/', '/gated/sync/', '/events/gated/'])
def test_a_stream_is_sent_piece_by_piece(host, target, request):
    gate = 'gate' + target.replace('/', '-')
    with host.connect(ask('GET', target + gate)) as connection:
        if target != '/gated/sync/' or expected(host, 'a plain generator', 'piece by piece') == 'piece by piece':
            data = receive_until(connection, b'first')
            assert b'second' not in data
        host.open_gate(gate)
        assert b'second' in receive_until(connection, b'second')


def test_the_head_of_a_stream_is_sent_before_its_first_piece(host):
    with host.connect(ask('GET', '/gated/head/head')) as connection:
        if expected(host, 'the head of a stream', 'at once') == 'at once':
            assert b' 200 ' in receive_until(connection, b'\r\n\r\n')
        host.open_gate('head')
        assert b'only' in receive_until(connection, b'only')


def receive_until(connection, end):
    data = b''
    while end not in data:
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


@pytest.mark.parametrize('target', ['/stream/fails', '/stream/short'])
def test_a_stream_that_fails_is_seen_to_be_incomplete(host, target):
    end = 'incomplete'
    if target == '/stream/fails' or host.name == 'daphne':
        end = expected(host, 'a stream that fails', end)
    with host.connect(ask('GET', target)) as connection:
        if end == 'never':
            receive_until(connection, b'half')
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        else:
            answer = read_answer(connection)
            assert answer.is_complete == (end == 'complete')
            # a host that resets the connection may drop what is on the way, the head, too
            assert answer.status == 200 or not answer.is_complete
            assert b'half'.startswith(answer.body)
    assert host.get('/').text == 'hello'


def test_readers_are_closed(host):
    for method, target in ('GET', '/stream/read'), ('HEAD', '/stream/read'), ('GET', '/stream/no-content'):
        host.exchange(ask(method, target))
        host.wait_for_note('closed')
        host.forget_notes()


def test_a_body_is_read_as_it_arrives(host):
    with host.connect(ask('POST', '/pieces', 'Content-Length: 40000')) as connection:
        connection.sendall(b'first')
        if expected(host, 'a body arrives', 'in pieces') == 'in pieces':
            host.wait_for_note('first first')
        connection.sendall(b'x' * 39995)
        assert read_answer(connection).body == b'first' + b'x' * 39995


# Clients that leave

def leave(connection):
    """Close a connection in the hard way."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()


@pytest.mark.parametrize('kind', ['async', 'sync'])
def test_a_stream_ends_when_its_client_leaves(host, kind):
    connection = host.connect(ask('GET', '/endless/' + kind))
    receive_until(connection, b'xxx')
    leave(connection)
    host.wait_for_note(kind + ' ended')


def test_events_end_when_their_client_leaves(host):
    connection = host.connect(ask('GET', '/events/endless'))
    receive_until(connection, b'tick')
    leave(connection)
    host.wait_for_note('events cancelled')


@pytest.mark.parametrize('target, note', [('/idle/', 'idle ended'), ('/events/idle/', 'idle events ended')])
def test_a_stream_that_waits_ends_when_its_client_leaves(host, target, note):
    gate = 'idle' + target.replace('/', '-')
    connection = host.connect(ask('GET', target + gate))
    receive_until(connection, b'first')
    leave(connection)
    case = 'the client of a stream that waits leaves' if target == '/idle/' else 'the client of idle events leaves'
    if expected(host, case, 'noticed at once') != 'noticed at once':
        assert note not in host.notes()
        host.open_gate(gate)
    host.wait_for_note(note)


def test_a_handler_completes_although_its_client_has_left(host):
    connection = host.connect(ask('GET', '/slow/left'))
    host.wait_for_note('slow begun')
    leave(connection)
    host.open_gate('left')
    host.wait_for_note('slow complete')


def test_a_body_that_is_cut_off(host):
    connection = host.connect(ask('POST', '/cut', 'Content-Length: 50000', body=b'x' * 30000))
    connection.close()
    if expected(host, 'a body that is cut off', 'heard of') == 'heard of':
        host.wait_for_note('cut 400')
    assert host.get('/').text == 'hello'
    assert not [note for note in host.notes() if 'complete' in note]


# WebSocket

def talk(host, path, *messages, **options):
    """Connect, send messages, return all that comes back, at last what closes the conversation."""
    with closing_client(host, path, **options) as client:
        for message in messages:
            client.send(message)
        found = []
        try:
            while True:
                found.append(client.receive())
        except Closed as closed:
            return found + list(closed.args)


@contextmanager
def closing_client(host, path, **options):
    client = Websockets('ws://127.0.0.1:%d%s' % (host.port, path), compression={}, **options)  # as browsers do
    try:
        yield client
    finally:
        client.end()


def refused(host, path, **options):
    """Return the status that a handshake is refused with."""
    with pytest.raises(Refused) as caught:
        talk(host, path, **options)
    return caught.value.args[0]


HANDSHAKE = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
             'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']


def has_websocket(host):
    """Tell whether the host lets the application have a conversation; where it does not, it has to say so."""
    status = expected(host, 'websocket', 101)
    if status != 101:
        assert host.exchange(ask('GET', '/ws/echo', *HANDSHAKE, is_kept=True)).status == status
    return status == 101


@pytest.mark.parametrize('message', ['text', 'žluťoučký 🐎', '', b'binary \0\xff', b'', 'x' * 19000])
def test_websocket_echo(host, message):
    if has_websocket(host):
        with closing_client(host, '/ws/echo') as client:
            for _ in range(3):
                client.send(message)
                if message or expected(host, 'an empty message', 'sent') == 'sent':
                    assert client.receive() == message
            client.send('the last one')
            assert client.receive() == 'the last one'


@pytest.mark.parametrize('code, reason', [(1000, ''), (4000, 'příště'), (1001, 'gone')])
def test_websocket_client_closes(host, code, reason):
    if has_websocket(host):
        with closing_client(host, '/ws/echo') as client:
            client.send('a')
            client.receive()
            client.close(code, reason)
        heard = expected(host, 'the client of a websocket closes', 'websocket {code} {reason}')
        host.wait_for_note(heard.format(code=code, reason=reason))


def test_websocket_client_sends_fragments_and_pings(host):
    if has_websocket(host):
        with closing_client(host, '/ws/echo') as client:
            client.send('one ', 'two ', 'three')
            assert client.receive() == 'one two three'
            client.ping('still there')
            client.send('yes')
            assert client.receive() == 'yes'
        host.wait_until(host.notes)  # so that the end is not taken for that of another one


def test_websocket_client_vanishes(host):
    if has_websocket(host):
        with host.connect(ask('GET', '/ws/echo', *HANDSHAKE, is_kept=True)) as connection:
            assert b' 101 ' in receive_until(connection, b'\r\n\r\n')
            leave(connection)
        code = expected(host, 'the client of a websocket vanishes', '1006')
        host.wait_until(lambda: [note for note in host.notes() if note.startswith('websocket ' + code)])


def test_websocket_client_vanishes_while_the_handler_does_something_else(host):
    if has_websocket(host):
        with host.connect(ask('GET', '/ws/idle', *HANDSHAKE, is_kept=True)) as connection:
            assert b' 101 ' in receive_until(connection, b'\r\n\r\n')
            leave(connection)
        host.wait_for_note('websocket cancelled')


@pytest.mark.parametrize('path, messages, answers', [
    ('/ws/info/caf%C3%A9?a=1', [], [repr(['café', 'GET', '/ws/info/café', 'a=1', None, {}, 'http']), 1000, '']),
    ('/ws/close/1000', [], ['goodbye', 1000, 'příště']),
    ('/ws/close/4321', [], ['goodbye', 4321, 'příště']),
    ('/ws/fail', ['a'], [1011, '']),
    ('/ws/abort', ['a'], [1008, '']),
    ('/ws/parallel', ['a'], ['0', '1', '2', 'a', 1000, '']),
    ('/ws/echo', ['x' * 20001], [1009, 'message too long']),
    ('/ws/origins', [], ['welcome', 1000, '']),
    ('/hooked/ws', [], ['eva', 1000, '']),
])
def test_websocket_conversation(host, path, messages, answers):
    if has_websocket(host):
        answers = expected(host, path, answers)
        if answers:
            assert talk(host, path, *messages) == answers
        else:
            with closing_client(host, path) as client:
                client.send(*messages)
                client.close()
            assert host.get('/').text == 'hello'


@pytest.mark.parametrize('offered, chosen', [
    (['chat.v1', 'chat.v2'], 'chat.v2'), (['chat.v1'], 'chat.v1'), (['other'], None), (None, None)])
def test_websocket_protocols(host, offered, chosen):
    if has_websocket(host):
        with closing_client(host, '/ws/protocols', protocols=offered) as client:
            assert (client.receive(), client.protocol) == (str(chosen), chosen)


def test_websocket_is_refused(host):
    """Who says what is wrong: the application, or a host that knows only one answer."""
    if has_websocket(host):
        assert talk(host, '/ws/origins', origin='https://example.com') == ['welcome', 1000, '']
        assert refused(host, '/ws/origins', origin='https://example.org') == 403
        assert refused(host, '/missing') == expected(host, 'websocket without a route', 404)
        assert refused(host, '/item/a') == expected(host, 'websocket to a page', 200)
        assert refused(host, '/raise') == expected(host, 'websocket to a page that fails', 500)


def test_what_follows_a_refused_handshake_is_no_request(host):
    """A proxy that took the connection for upgraded would have let it pass."""
    if has_websocket(host):
        handshake = ask('GET', '/ws/origins', *HANDSHAKE, 'Origin: https://example.org', is_kept=True)
        with host.connect(handshake + ask('GET', '/hello.txt', is_kept=True)) as connection:
            assert read_answer(connection).status == expected(host, 'data behind a handshake', 403)
            connection.settimeout(1)
            with suppress(ConnectionResetError, TimeoutError):  # most end the connection, some wait
                assert connection.recv(1) == b''


def test_a_request_to_a_websocket_that_is_no_handshake(host):
    assert host.get('/ws/echo').status == 400


# Many at a time

def call_at_once(host, kind, count):
    """Send requests that all say who sends them, in every way that there is, and wait for each other."""
    def call(name):
        answer = host.exchange(ask(
            'POST', '/%s/%d/%s?name=%s' % (kind, count, name, name), 'X-Name: ' + name, 'Cookie: name=' + name,
            body=name.encode()))
        return answer.json, {'path': name, 'arg': name, 'header': name, 'cookie': name, 'body': name}
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, ['n%d' % number for number in range(count)]))


@pytest.mark.parametrize('kind', ['crowd/a', 'threads/a'])
def test_sixty_threads_at_once(host, kind):
    """Coroutines and plain functions: none of the handlers returns before all of them are called."""
    case = 'coroutines at a time' if kind == 'crowd/a' else 'plain functions at a time'
    count = min(expected(host, case, 60), 60)
    start = time.monotonic()
    for seen, own in call_at_once(host, kind, count):
        assert seen == own
    assert time.monotonic() - start < 10


def test_sixty_threads_again_and_again(host):
    """Without waiting for each other, and more than the host takes at a time."""
    for kind in 'crowd/b', 'threads/b':
        def call(name, kind=kind):
            answer = host.exchange(ask('POST', '/%s/0/%s?name=%s' % (kind, name, name), 'X-Name: ' + name,
                                       'Cookie: name=' + name, body=name.encode()))
            return answer.json == {'path': name, 'arg': name, 'header': name, 'cookie': name, 'body': name}
        with ThreadPoolExecutor(60) as pool:
            assert all(pool.map(call, ['m%d' % number for number in range(180)]))


def test_hundreds_of_requests_at_once(host):
    count = expected(host, 'coroutines at a time', 300)
    connections = []
    for number in range(count):
        name = 'c%d' % number
        connections.append(host.connect(ask(
            'POST', '/crowd/c/%d/%s?name=%s' % (count, name, name), 'X-Name: ' + name, 'Cookie: name=' + name,
            body=name.encode())))
    start = time.monotonic()
    for number, connection in enumerate(connections):
        with connection:
            assert read_answer(connection).json['body'] == 'c%d' % number
    assert time.monotonic() - start < 10


# The life of a host

def test_what_the_host_gives_is_there(host):
    usual = {'kind': {'microdot': 'microdot', 'asgi': 'http', 'wsgi': 'wsgi'}[host.interface], 'state': None}
    if host.interface == 'asgi':
        usual['state'] = {'greeting': 'hello from the startup'}
    assert host.get('/interface').json == expected(host, 'lifespan state', usual)


@pytest.fixture(params=[name for name in HOSTS if name != 'builtin'])
def mounted(request, tmp_path):
    process = HostProcess(request.param, tmp_path, is_mounted=True)
    yield process
    process.kill()


def test_mounted_at_a_prefix_then_shut_down(mounted):
    """Two things with one process: where the application is, and shutdown(), which completes the request."""
    prefix = mounted.prefix
    answer = mounted.get(prefix + '/echo/caf%C3%A9?x=%20')
    assert answer.json == {'method': 'GET', 'path': '/echo/café', 'rest': 'café', 'root': '/prefix',
                           'url': '/prefix/echo/caf%C3%A9?x=%20', 'query': 'x=%20', 'version': '1.1'}
    assert mounted.get(prefix + '/').text == 'hello'
    assert mounted.get(prefix + '/shutdown').text == 'complete'
    assert mounted.wait() == expected(mounted, 'exit status after shutdown()', 0), mounted.tail()
    if mounted.interface == 'asgi':
        assert mounted.notes() == expected(mounted, 'lifespan', ['startup', 'shutdown'])


@pytest.mark.parametrize('name', ASGI.split())
def test_a_startup_that_fails(name, tmp_path):
    process = HostProcess(name, tmp_path, is_awaited=False, HOST_FAILS='1')
    try:
        if expected(process, 'lifespan', 'known') == 'known':
            assert bool(process.wait()) == expected(process, 'a startup that fails is an error', True)
            assert 'RuntimeError: no database at startup' in process.log.read_text()
        else:
            process.wait_until(process.answers)
    finally:
        process.kill()
