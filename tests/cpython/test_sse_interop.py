"""Clients of Server-Sent Events that others wrote, against the server in a process of its own."""
import json
from contextlib import closing

import httpx
import pytest
from app_process import KINDS, AppProcess
from httpx_sse import connect_sse
from node_process import NodeProcess

LONG = 'x' * 20000
#: What ``/events`` sends, as clients show it: name, data, and the id of the event itself.
EVENTS = [
    ('message', 'plain', ''),
    ('message', 'first\nsecond\nthird\nfourth', ''),  # each kind of line break arrives as the same
    ('message', '', ''),
    ('message', '\n', ''),
    ('message', ' leading blank: and a colon', ''),
    ('message', {'n': [1, 2.5, None, 'ž']}, ''),
    ('message', [1, 'two'], ''),
    ('message', 'bytes', ''),
    ('message', '42', ''),
    ('kůň', 'žluťoučký 🐎', 'id 7'),
    ('long', LONG, ''),
    ('end', 'over', ''),
]


@pytest.fixture(scope='module', params=KINDS)
def server(request, tmp_path_factory):
    server = AppProcess('interop_app.py', request.param, tmp_path_factory.mktemp('interop') / 'app.log')
    yield server
    server.stop()


def url(server, path):
    return 'http://127.0.0.1:%d%s' % (server.port, path)


def run_node(program, *args):
    with closing(NodeProcess(program, *args)) as node:
        return node.read_all()


def read_events(server, path, **headers):
    """Receive events with ``httpx-sse``, up to the one that is named "end", or the end of the response."""
    found = []
    with httpx.Client(timeout=20, trust_env=False) as client:
        with connect_sse(client, 'GET', url(server, path), headers=headers) as source:
            assert source.response.headers['Content-Type'].startswith('text/event-stream')
            assert source.response.headers['Cache-Control'] == 'no-cache'
            for event in source.iter_sse():
                found.append(event)
                if event.event == 'end':
                    break
    return found


def is_same(found, expected):
    """Compare what an event holds; JSON by what it means."""
    return found == expected if isinstance(expected, str) else json.loads(found) == expected


def check(found):
    assert len(found) == len(EVENTS)
    for (name, data, event_id), (expected_name, expected, expected_id) in zip(found, EVENTS):
        assert (name, event_id) == (expected_name, expected_id)
        assert is_same(data, expected)


def test_httpx_sse(server):
    found = read_events(server, '/events')
    assert [event.id for event in found] == [''] * 9 + ['id 7'] * 3  # an id holds until the next one
    check([(event.event, event.data, own_id) for event, (_, _, own_id) in zip(found, EVENTS)])
    assert found[5].json() == {'n': [1, 2.5, None, 'ž']}


def test_eventsource(server):
    found = run_node('eventsource.mjs', url(server, '/events'), 'kůň', 'long')
    check([(event['event'], event['data'], event['id']) for event in found])


def test_eventsource_parser(server):
    found = run_node('parser.mjs', url(server, '/events'))
    assert [item for item in found if 'error' in item] == []
    assert [item['comment'].strip() for item in found if 'comment' in item] == ['a comment', 'of two lines']
    check([(item['event'], item['data'], item['id']) for item in found if 'event' in item])


def test_eventsource_connects_again(server):
    """It waits as long as the server says, and names the last event."""
    assert run_node('eventsource.mjs', url(server, '/resume')) == [
        {'event': 'message', 'data': 'first', 'id': 'a1'},
        {'event': 'message', 'data': 'again after a1', 'id': 'b2'},
        {'event': 'end', 'data': 'last after b2', 'id': ''},
    ]


def test_httpx_sse_connects_again(server):
    (first,) = read_events(server, '/resume')
    assert (first.data, first.id, first.retry) == ('first', 'a1', 200)
    (second,) = read_events(server, '/resume', **{'Last-Event-ID': first.id})
    assert (second.data, second.id) == ('again after a1', 'b2')


def test_eventsource_parser_finds_the_time_to_wait(server):
    assert run_node('parser.mjs', url(server, '/resume')) == [
        {'retry': 200}, {'event': 'message', 'data': 'first', 'id': 'a1'}]


def test_comments_keep_the_connection(server):
    found = run_node('parser.mjs', url(server, '/kept'))
    assert found[-1] == {'event': 'end', 'data': 'late', 'id': ''}
    comments = found[:-1]
    assert 2 <= len(comments) <= 6  # one each 0.1 s for 0.5 s
    assert all(item == {'comment': ''} for item in comments)
    (event,) = read_events(server, '/kept')  # which ignores them
    assert (event.event, event.data) == ('end', 'late')


@pytest.mark.parametrize('read', [
    lambda server: read_events(server, '/idle'),
    lambda server: run_node('eventsource.mjs', url(server, '/idle')),
])
def test_the_handler_ends_when_the_client_leaves(server, read):
    server.get('/ends')
    read(server)
    server.wait_until(lambda: b'cancelled' in server.get('/ends'), 3)
