"""Runs the programs of the folder node, whose packages "make test" installs."""
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / 'node'
TIME_LIMIT = 30.0  # seconds, after which a program is ended, so that reading what it says fails


def find_node() -> str:
    node = shutil.which('node')
    if not node:
        pytest.fail('node is missing. Install it, as root: apt-get install nodejs npm', pytrace=False)
    for name in json.loads((FOLDER / 'package.json').read_text())['dependencies']:
        if not (FOLDER / 'node_modules' / name).exists():
            pytest.fail('%s is missing. Install it: make node' % name, pytrace=False)
    return node


class NodeProcess:
    """A program that takes and gives JSON, one value a line."""

    def __init__(self, program: str, *args: str):
        self.process = subprocess.Popen([find_node(), str(FOLDER / program), *args],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.timer = threading.Timer(TIME_LIMIT, self.process.kill)
        self.timer.start()

    def write(self, value: 'Any') -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(value).encode() + b'\n')
        self.process.stdin.flush()

    def read(self) -> 'Any':
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, 'the program has ended'
        return json.loads(line)

    def read_all(self) -> 'list[Any]':
        """Wait for the end of the program, return all that it says."""
        assert self.process.stdout
        found = [json.loads(line) for line in self.process.stdout]
        assert self.process.wait() == 0
        return found

    def close(self) -> None:
        self.timer.cancel()
        self.process.kill()
        self.process.communicate()
