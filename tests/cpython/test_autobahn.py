"""The cases of the Autobahn test suite, which the package kosoku carries, against the server in a process of its own.

The numbers are those of Autobahn: 1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing,
9 limits and performance, 10 automatic fragmentation, 12 and 13 compression. There is no 8 and no 11.

"""
import json
import subprocess
from collections import Counter

import pytest
from app_process import KINDS, AppProcess, find_command

#: How many cases Autobahn has, so that none passes because it did not run.
COUNTS = {'1': 16, '2': 11, '3': 7, '4': 10, '5': 20, '6': 145, '7': 37, '9': 54, '10': 1, '12': 90, '13': 126}
PROTOCOL = ['1', '2', '3', '4', '5', '6', '7', '10']
#: The protocol leaves open what happens here: data after the close frame, and close codes from 5000 on.
INFORMATIONAL = {'7.1.6', '7.13.1', '7.13.2'}
COMPRESSION = ['12.%d' % i for i in range(1, 6)] + ['13.%d' % i for i in range(1, 8)]
#: Each has 18 cases of 1,000 messages: 16 bytes to 128 KB, from the 11th on 8 KB to 128 KB in fragments.
PARTS = {'to 64 KB': range(1, 10), '128 KB, and short fragments': range(10, 15), '128 KB in fragments': range(15, 19)}
SHORT = [1, 2, 3, 4, 5, 11]
LIMIT = 110  # seconds for a run; pytest ends all after 120


@pytest.fixture(scope='module')
def servers(tmp_path_factory):
    """Return a function that starts a server of a kind, or gives the one that runs."""
    running = {}

    def find(kind):
        if kind not in running:
            running[kind] = AppProcess('autobahn_app.py', kind, tmp_path_factory.mktemp('autobahn') / 'app.log')
        return running[kind]

    yield find
    for server in running.values():
        server.stop()


def run_cases(server, folder, selection):
    """Run the cases and return what the report says about each of them."""
    # half of what MicroPython takes at a time
    command = [find_command('kosoku'), '-m', 'fuzzingclient', '-p', '4', '-o', str(folder)]
    for name in selection:
        command += ['-i', name]
    run = subprocess.run([*command, 'ws://127.0.0.1:%d/echo' % server.port], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=LIMIT)
    report = folder / 'index.json'
    assert report.exists(), run.stdout.decode()
    (found,) = json.loads(report.read_text()).values()  # of one server, which gives no name
    return found


def check(results):
    """Every case must be passed, in what was answered and in how the connection ended. "NON-STRICT" is not enough."""
    expected = {name: 'INFORMATIONAL' if name in INFORMATIONAL else 'OK' for name in results}
    assert {name: results[name]['behavior'] for name in results} == expected
    assert {name: results[name]['behaviorClose'] for name in results} == expected


@pytest.mark.parametrize('kind', KINDS)
def test_protocol(servers, kind, tmp_path):
    results = run_cases(servers(kind), tmp_path, [group + '.*' for group in PROTOCOL])
    check(results)
    assert Counter(name.partition('.')[0] for name in results) == {group: COUNTS[group] for group in PROTOCOL}


@pytest.mark.parametrize('kind', ['asyncio', 'uvloop', 'portable'])
def test_large_messages(servers, kind, tmp_path):
    results = run_cases(servers(kind), tmp_path, ['9.*'])
    check(results)
    assert len(results) == COUNTS['9']


@pytest.mark.once
@pytest.mark.parametrize('part', PARTS)
@pytest.mark.parametrize('group', COMPRESSION)
def test_compression(servers, group, part, tmp_path):
    names = ['%s.%d' % (group, i) for i in PARTS[part]]
    results = run_cases(servers('uvloop'), tmp_path, names)
    check(results)
    assert sorted(results) == sorted(names)


@pytest.mark.parametrize('kind', ['asyncio', 'portable'])
def test_compression_of_short_messages(servers, kind, tmp_path):
    names = ['%s.%d' % (group, i) for group in COMPRESSION for i in SHORT]
    results = run_cases(servers(kind), tmp_path, names)
    check(results)
    assert sorted(results) == sorted(names)


def test_all_cases_of_compression_are_run():
    parts = [i for part in PARTS.values() for i in part]
    assert parts == list(range(1, 19))
    assert Counter(group.partition('.')[0] for group in COMPRESSION for _ in parts) == {
        '12': COUNTS['12'], '13': COUNTS['13']}
