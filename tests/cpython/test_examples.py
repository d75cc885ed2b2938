"""The examples as their readers start them, but on a port that is free."""
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from server_process import free_port

EXAMPLES = Path(__file__).parent.parent.parent / 'examples'


class Example:
    def __init__(self, path, folder, *arguments):
        self.port = free_port()
        source = (EXAMPLES / path).read_text()
        assert '__main__' in source
        if '5000' in source:
            source = source.replace('5000', str(self.port))
        else:
            source = source.replace('app.run(', f'app.run(port={self.port}, ')
        copy = folder / 'example.py'
        copy.write_text(source)
        self.process = subprocess.Popen([sys.executable, str(copy), *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)

    def get(self, path, headers=None):
        request = urllib.request.Request(f'http://127.0.0.1:{self.port}{path}', headers=headers or {})
        end = time.monotonic() + 10
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    return response.read().decode()
            except (ConnectionError, urllib.error.URLError) as exc:
                assert isinstance(getattr(exc, 'reason', exc), ConnectionError), exc
                assert self.process.poll() is None, self.process.communicate()
                assert time.monotonic() < end, 'it does not listen'
                time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=20)
        return self.process.returncode, output


@pytest.fixture
def start(tmp_path):
    examples = []

    def start_example(*args):
        examples.append(Example(args[0], tmp_path, *args[1:]))
        return examples[0]

    yield start_example
    for example in examples:
        example.process.kill()
        example.process.communicate()


def test_hello(start):
    example = start('hello/hello.py')
    assert 'ello' in example.get('/')
    assert example.stop()[0] == 0


@pytest.mark.parametrize('workers', ['1', '2'])
def test_server(start, workers):
    example = start('server/server.py', workers)
    answer = json.loads(example.get('/', {'X-Forwarded-For': '203.0.113.7'}))
    assert (answer['client'], answer['scheme']) == ('203.0.113.7', 'http')
    assert (answer['process'] == example.process.pid) == (workers == '1')
    status, output = example.stop()
    assert status == 0
    assert '203.0.113.7 "GET / HTTP/1.1" 200' in output and output.count('stopped') == 1
