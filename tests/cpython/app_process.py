"""Runs applications for the clients that others wrote, each in a process: in both event loops, on both interpreters."""
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import ServerProcess, free_port

HERE = Path(__file__).parent
SOURCE = str(HERE.parent.parent / 'src')
BIN = Path(sys.executable).parent
#: What serves: the server of CPython in one of the event loops, or the portable one on CPython or on MicroPython.
KINDS = ['asyncio', 'uvloop', 'portable', 'micropython']


def find_command(name: str) -> str:
    """Return the path of a program of the virtual environment."""
    path = BIN / name
    if not path.exists():
        pytest.fail('%s is missing. Install it: python -m pip install -r requirements-test.txt' % name, pytrace=False)
    return str(path)


class AppProcess(ServerProcess):
    """``program PORT KIND``, where ``GET /`` answers "hello". It must not print anything that is not expected."""

    def __init__(self, program: str, kind: str, log: Path):
        self.tls = None
        self.kind = kind
        self.log = log
        self.port = free_port()
        # some cases of Autobahn send 256 KB in a message
        interpreter = [find_command('micropython'), '-X', 'heapsize=4M'] if kind == 'micropython' else [sys.executable]
        with log.open('ab') as output:
            self.process = subprocess.Popen(
                [*interpreter, str(HERE / program), str(self.port), kind], stdout=output, stderr=output,
                env={**os.environ, 'PYTHONPATH': SOURCE, 'MICROPYPATH': SOURCE + ':.frozen'})
        self.wait_until(self.answers)

    def stop(self) -> None:
        """Shut down, and fail if something went wrong meanwhile."""
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(15)
        finally:
            self.process.kill()
        assert (status, self.log.read_text()) == (0, '')
