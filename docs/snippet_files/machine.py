"""Stands in for MicroPython's module while the test suite runs the snippets of the documentation.

CPython also gets what MicroPython has in ``time`` and ``asyncio``.

"""
import asyncio
import time


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, id=-1, mode=PERIODIC, period=-1, callback=None):
        callback(self)  # once, and at once

    def deinit(self):
        pass


class WDT:
    def __init__(self, id=0, timeout=5000):
        pass

    def feed(self):
        pass


def deepsleep(milliseconds):
    pass


def reset():
    pass


class ThreadSafeFlag:
    is_set = False

    def set(self):
        self.is_set = True

    async def wait(self):
        while not self.is_set:
            await asyncio.sleep(0.001)
        self.is_set = False


if not hasattr(time, 'ticks_ms'):
    time.ticks_ms = lambda: time.monotonic_ns() // 1000000
    time.ticks_add = lambda ticks, delta: ticks + delta
    time.ticks_diff = lambda later, earlier: later - earlier
    asyncio.ThreadSafeFlag = ThreadSafeFlag
