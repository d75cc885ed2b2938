"""An event loop that has a thread of its own, but lets other threads begin coroutines (CPython only).

To hand a request to the thread of an event loop, and its response back, takes two switches of threads, which cost
several times what most handlers do. So the thread of the loop holds a lock while it runs callbacks, and lets go of it
while it waits. Another thread that takes the lock can do what a callback might do: begin a coroutine, which is often
done by then. One that has to wait is gone on with by the loop's own thread.

"""
import asyncio
import os
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from asyncio.tasks import _enter_task, _leave_task  # for other schedulers, as in microdot.server
from contextvars import copy_context
from selectors import DefaultSelector
from threading import Event, Lock, Thread

from microdot.microdot import log_error
from microdot.server import Starter

if False:  # TYPE_CHECKING
    from collections.abc import Callable, Coroutine
    from typing import Any


class SharedSelector(DefaultSelector):
    """Lets others have the loop while it waits."""

    loop: 'SharedLoop'

    def select(self, timeout: 'float | None' = None) -> 'Any':
        loop = self.loop
        loop.has_news = False  # it knows all of them by now
        loop.lock.release()
        try:
            events = super().select(timeout)
        finally:
            loop.lock.acquire()
        # what others have registered meanwhile, the loop would take an event from before for one of that
        return super().select(0) if events else events

    def register(self, *args: 'Any') -> 'Any':
        self.loop.has_news = True
        return super().register(*args)

    def modify(self, *args: 'Any') -> 'Any':
        self.loop.has_news = True
        return super().modify(*args)


class SharedLoop(asyncio.SelectorEventLoop):
    """The loop. Who holds ``lock`` may use it."""

    has_news = True  # there is something to do that its thread may not know of

    def __init__(self) -> None:
        self.lock = Lock()
        selector = SharedSelector()
        selector.loop = self
        super().__init__(selector)
        self.set_debug(False)  # which would not let other threads use it

    def call_soon(self, *args: 'Any', **kwargs: 'Any') -> 'Any':  # type: ignore[override]
        self.has_news = True
        return super().call_soon(*args, **kwargs)

    def call_at(self, *args: 'Any', **kwargs: 'Any') -> 'Any':  # type: ignore[override]
        self.has_news = True
        return super().call_at(*args, **kwargs)

    def wake(self) -> None:
        """Let the thread of the loop see the news; called by who holds the lock, before it lets go of it."""
        if self.has_news:
            self.has_news = False
            self._write_to_self()  # type: ignore[attr-defined]


class LoopThread:
    """The loop of this process, and its thread. ``LoopThread.get()`` returns it."""

    instance: 'LoopThread | None' = None
    inherited: 'LoopThread | None' = None  # of the parent process, kept from being collected
    lock = Lock()

    def __init__(self) -> None:
        self.loop = SharedLoop()
        self.hooks: 'Any' = None
        # before CPython 3.12 a starter lends the name of a task, to one coroutine at a time
        self.starters: 'list[Any]' = []
        has_begun = Event()
        Thread(target=self._run, args=(has_begun,), name='microdot', daemon=True).start()
        has_begun.wait()

    def _run(self, has_begun: Event) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.lock.acquire()
        self.loop.call_soon(self._begin, has_begun)
        while True:  # whoever ends the loop, by sys.exit() in a task or by stop(): the host ends the process, not they
            try:
                self.loop.run_forever()
            except BaseException as exc:
                log_error(exc, None)

    def _begin(self, has_begun: Event) -> None:
        self.hooks = sys.get_asyncgen_hooks()
        has_begun.set()

    @classmethod
    def get(cls) -> 'LoopThread':
        if not cls.instance:
            with cls.lock:
                if not cls.instance:
                    cls.instance = cls()
        return cls.instance

    @classmethod
    def forget(cls) -> None:
        """Begin anew in a child process, which has none of its parent's threads."""
        cls.inherited = cls.instance
        cls.instance = None
        cls.lock = Lock()

    def start(self, coroutine: 'Coroutine[Any, Any, None]', undo: 'Callable[[Any], None]') -> None:
        """Run a coroutine up to its first wait, in this thread, and let the loop's thread go on with it.

        If it never runs, ``undo`` is called with its task.

        """
        running = _get_running_loop()
        if running is self.loop:
            coroutine.close()
            raise RuntimeError('the event loop would wait for itself: call the application in asyncio.to_thread()')
        if running:  # this thread cannot have two
            self.loop.call_soon_threadsafe(self._start, coroutine, undo, context=copy_context())
            return
        hooks = sys.get_asyncgen_hooks()
        with self.loop.lock:
            try:
                _set_running_loop(self.loop)
                sys.set_asyncgen_hooks(*self.hooks)
                self._start(coroutine, undo)
            finally:
                sys.set_asyncgen_hooks(*hooks)
                _set_running_loop(None)
                self.loop.wake()

    def _start(self, coroutine: 'Coroutine[Any, Any, None]', undo: 'Callable[[Any], None]') -> None:
        starter = self.starters.pop() if self.starters else Starter(self.loop)
        try:
            starter.start(coroutine, undo)
        finally:
            self.starters.append(starter)

    def call_outside(self, f: 'Callable[..., Any]', *args: 'Any') -> 'Any':
        """Call what may block, from a coroutine that :meth:`start` has begun in this thread, without the lock."""
        loop = self.loop
        task: 'Any' = asyncio.current_task()
        _leave_task(loop, task)
        _set_running_loop(None)
        loop.wake()
        loop.lock.release()
        try:
            return f(*args)
        finally:
            loop.lock.acquire()
            _set_running_loop(loop)
            _enter_task(loop, task)


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=LoopThread.forget)
