"""Compares times, on CPython or MicroPython; prints a name and the ratio of two medians for each comparison.

Run by test_security_cpython.py.

"""
import sys
import time

sys.path.insert(0, sys.argv[1])

from microdot.password import check_password, hash_password  # noqa: E402
from microdot.signing import is_equal  # noqa: E402

ON_MICROPYTHON = sys.implementation.name == 'micropython'


def clock():
    return time.time_ns() if ON_MICROPYTHON else time.perf_counter_ns()


def measure(f, args):
    start = clock()
    assert not f(*args)
    return clock() - start


def compare(name, f, first, second, count):
    """Measure two calls in turn, so that what else the machine does hits both of them."""
    times = [[], []]
    for i in range(2 * count):
        which = i % 2
        times[which].append(measure(f, second if which else first))
    medians = [sorted(some)[count // 2] for some in times]
    print(name, '%.4f' % (medians[0] / medians[1]))


def change(text, at):
    return text[:at] + ('A' if text[at] != 'A' else 'B') + text[at + 1:]


data = bytes(10000 if ON_MICROPYTHON else 1000000)
compare('is_equal', is_equal, (data, b'x' + data[1:]), (data, data[:-1] + b'x'), 101)
right = hash_password('secret', rounds=100 if ON_MICROPYTHON else 10000)
begin = right.rfind('$') + 1
compare('check_password: hash', check_password, (change(right, begin), 'secret'),
        (change(right, len(right) - 2), 'secret'), 51)
compare('check_password: password', check_password, (right, 'Xecret'), (right, 'secreX'), 51)
