"""TCP ports for tests. Works on CPython and on MicroPython."""
import os


def own_ports():
    """Return the ports that this process of the tests may use: no other one does (pytest-xdist runs several).

    The system does not give them to clients: Linux takes the ports from 32768 on.

    """
    worker = int((os.getenv('PYTEST_XDIST_WORKER') or 'gw0')[2:])
    return range(23400 + worker * 2000, 25400 + worker * 2000)
