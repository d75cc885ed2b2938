"""What ``Microdot.run()`` does on CPython: it chooses the event loop, opens sockets, forks workers and watches them."""
import asyncio
import logging
import os
import select
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from importlib import import_module

from microdot.sockets import close_sockets, is_address, listening

if False:  # TYPE_CHECKING
    from collections.abc import Callable, Coroutine, Iterator
    from socket import socket
    from typing import Any, NoReturn

    from microdot.microdot import Microdot

logger = logging.getLogger('microdot')

STOP_SIGNALS = signal.SIGINT, signal.SIGTERM
GRACE = 5.0  # seconds that a worker gets beyond app.graceful_timeout before it is killed
SETTLED = 1.0  # a worker that dies younger than this many seconds has to wait for its successor
MAX_DELAY = 5.0  # seconds until a successor, at most
MAX_FAILURES = 3  # of a worker and its successors in a row, as long as no worker has served
SERVES, STOPS = 255, 254  # what workers tell their parent, among the numbers of its signals


def run_app(app: 'Microdot', host: 'Any', port: int, debug: bool, ssl: 'Any', workers: int = 1,
            loop: 'str | None' = None, **options: 'Any') -> None:
    """Serve an application until it is shut down, by its ``shutdown()`` or by SIGINT or SIGTERM.

    :param host: an address as ``asyncio.start_server`` takes it, a path of a UNIX socket (with a ``/`` or the prefix
                 ``unix:``), ``'systemd'`` for the sockets of its socket activation, or a ``socket.socket``.
    :param workers: how many processes serve. More than one need ``fork()``, else ``RuntimeError``.
    :param loop: ``'uvloop'``, ``'asyncio'``, or by default the former if it is installed.
    :param options: more arguments for ``app.start_server()``.
    :raises OSError: if the address is in use.
    :raises RuntimeError: if no worker ever came to serve.

    """
    def start(where: 'Any') -> 'Coroutine[Any, Any, Any]':
        return app.start_server(where, port, debug, ssl, **options)

    run = choose_loop(loop)
    check_workers(workers)
    if workers == 1 and is_address(host):
        run_alone(run, app, start, host)
        return
    with listening(host, port, workers) as slots:
        if workers == 1:
            run_alone(run, app, start, slots[0])
        else:
            Supervisor(run, app, start, slots).run()


def choose_loop(loop: 'str | None') -> 'Callable[[Any], None]':
    """Return the function that runs a coroutine, as ``asyncio.run`` does."""
    if loop not in (None, 'asyncio', 'uvloop'):
        raise ValueError("loop must be None, 'asyncio' or 'uvloop', not %r" % (loop,))
    if loop != 'asyncio':
        try:
            return import_module('uvloop').run  # type: ignore[no-any-return]
        except (ImportError, AttributeError):  # run() came with 0.18
            if loop == 'uvloop':
                raise RuntimeError("loop='uvloop' needs uvloop 0.18 or later: pip install uvloop") from None
    return asyncio.run


def check_workers(workers: int) -> None:
    if not isinstance(workers, int) or workers < 1:
        raise ValueError('workers must be a number from 1 on, not %r' % (workers,))
    if workers > 1 and not hasattr(os, 'fork'):
        raise RuntimeError('workers need a platform with fork()')
    if workers > 1 and not in_main_thread():
        raise RuntimeError('workers need run() in the main thread, which receives the signals')


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def restore(handlers: 'dict[signal.Signals, Any]') -> None:
    for signum, handler in handlers.items():
        if handler is not None:  # it was not set from Python
            signal.signal(signum, handler)


def flush() -> None:
    for stream in sys.stdout, sys.stderr:
        with suppress(Exception):  # there may be none, or nobody reads it any more
            stream.flush()


def when_serving(app: 'Microdot', f: 'Callable[[], Any]') -> None:
    """Call ``f`` as soon as the application serves."""
    if app.servers:
        f()
    else:
        asyncio.get_running_loop().call_later(0.02, when_serving, app, f)


def run_alone(run: 'Callable[[Any], None]', app: 'Microdot', start: 'Callable[[Any], Any]', where: 'Any') -> None:
    """Serve in this process. The first SIGINT or SIGTERM shuts down gracefully, the same again does what is usual."""
    async def serve() -> None:
        loop = asyncio.get_running_loop()

        def stop(signum: int) -> None:
            loop.remove_signal_handler(signum)
            when_serving(app, app.shutdown)

        with suppress(NotImplementedError):  # Windows
            for signum in previous:
                loop.add_signal_handler(signum, stop, signum)
        await start(where)

    previous = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS if in_main_thread()}
    try:
        run(serve())
    except KeyboardInterrupt:
        pass
    finally:
        restore(previous)


class Worker:
    """A process that serves, or that is to be started."""

    pid = 0
    born = 0.0
    failures = 0  # of its predecessors, in a row
    is_retired = False
    alarm = 0.0  # when it is to be started, or killed

    def __init__(self, sockets: 'list[socket]'):
        self.sockets = sockets  # the parent keeps them open: connections that wait there outlive the process

    def signal(self, signum: int, seconds: float) -> None:
        """Send a signal, and kill the process after some seconds."""
        self.is_retired = True
        self.alarm = time.monotonic() + seconds
        os.kill(self.pid, signum)


class Supervisor:
    """Keeps the workers alive until it is told to stop."""

    def __init__(self, run: 'Callable[[Any], None]', app: 'Microdot', start: 'Callable[[Any], Any]',
                 slots: 'list[list[socket]]'):
        self.run_loop = run
        self.app = app
        self.serve_on = start
        self.slots = slots
        self.workers = [Worker(sockets) for sockets in slots]
        self.outdated: 'list[Worker]' = []  # SIGHUP replaces them one after the other
        self.has_served = self.has_failed = self.is_stopping = False
        self.received: 'set[int]' = set()
        self.signals = [*STOP_SIGNALS, signal.SIGCHLD]
        if not os.isatty(0):  # where it means that the terminal is gone
            self.signals.append(signal.SIGHUP)

    def run(self) -> None:
        with self.news_and_life():
            while self.workers:
                self.wake()
                self.wait()
                for what in self.read_news():
                    self.heed(what)
                self.reap()
        if self.has_failed:
            raise RuntimeError('the workers failed %d times in a row before they served' % MAX_FAILURES)

    @contextmanager
    def news_and_life(self) -> 'Iterator[None]':
        """Open two pipes: one brings all news to the parent, the other one ends with it, which its workers notice."""
        self.news, self.news_end = os.pipe()
        self.life, self.life_end = os.pipe()
        os.set_blocking(self.news, False)
        os.set_blocking(self.news_end, False)
        previous = {signum: signal.signal(signum, lambda *_: None) for signum in self.signals}
        wakeup = signal.set_wakeup_fd(self.news_end, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            restore(previous)
            for fd in self.news, self.news_end, self.life, self.life_end:
                os.close(fd)

    def wait(self) -> None:
        """Wait for news or the next alarm."""
        poll = select.poll()
        poll.register(self.news, select.POLLIN)
        left = min([worker.alarm for worker in self.workers], default=0) - time.monotonic()
        poll.poll(max(0.0, min(left, 60)) * 1000 + 1)

    def read_news(self) -> bytes:
        try:
            return os.read(self.news, 4096)
        except BlockingIOError:
            return b''

    def heed(self, what: int) -> None:
        if what == SERVES:
            self.has_served = True
            self.replace_next()
        elif what == signal.SIGHUP:
            self.outdated = [worker for worker in self.workers if worker.pid]
            self.replace_next()
        elif what in self.received:  # whoever repeats it does not want to wait
            for worker in self.workers:
                worker.alarm = 0
        elif what != signal.SIGCHLD:
            if what != STOPS:
                self.received.add(what)
            self.stop()

    def stop(self) -> None:
        """Tell all workers to complete their requests; from now on they decide how long connections are accepted."""
        self.is_stopping = True
        self.workers = [worker for worker in self.workers if worker.pid]
        for worker in self.workers:
            self.retire(worker)
        close_sockets(self.slots)

    def retire(self, worker: Worker) -> None:
        if not worker.is_retired:
            worker.signal(signal.SIGTERM, getattr(self.app, 'graceful_timeout', 30) + GRACE)

    def replace_next(self) -> None:
        """Replace an outdated worker. Its sockets are not idle while it completes its requests."""
        while self.outdated and not self.is_stopping:
            worker = self.outdated.pop()
            if worker.pid and not worker.is_retired:
                self.retire(worker)
                self.workers.append(Worker(worker.sockets))
                break

    def reap(self) -> None:
        for worker in list(self.workers):
            pid, status = os.waitpid(worker.pid, os.WNOHANG) if worker.pid else (0, 0)
            if pid and worker.is_retired:
                self.workers.remove(worker)
            elif pid:
                worker.pid = 0
                self.fail(worker, 'worker %d ended with status %d' % (pid, os.waitstatus_to_exitcode(status)))

    def fail(self, worker: Worker, reason: str) -> None:
        """Let a worker start again, at once if it had been serving for a while, or give up."""
        is_settled = self.has_served and time.monotonic() - worker.born >= SETTLED
        worker.failures = 0 if is_settled else worker.failures + 1
        if worker.failures >= MAX_FAILURES and not self.has_served:
            logger.critical(reason)
            self.has_failed = True
            self.stop()
            return
        delay = 0 if is_settled else min(0.1 * 2 ** worker.failures, MAX_DELAY)
        worker.alarm = time.monotonic() + delay
        logger.error('%s, it is started again in %.1f seconds', reason, delay)

    def wake(self) -> None:
        """Start workers, and kill those that have not stopped in time."""
        for worker in self.workers:
            if worker.alarm <= time.monotonic():
                worker.alarm = float('inf')
                if worker.pid:
                    worker.signal(signal.SIGKILL, worker.alarm)
                elif not self.is_stopping:
                    self.start(worker)

    def start(self, worker: Worker) -> None:
        flush()  # or the worker would do it once more
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)  # a child must not run its parent's handlers
        try:
            worker.born = time.monotonic()
            worker.pid = os.fork()
            if not worker.pid:
                self.work(worker.sockets, mask)
        except OSError as exc:
            self.fail(worker, 'cannot fork (%s)' % exc)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def work(self, sockets: 'list[socket]', mask: 'Any') -> 'NoReturn':
        """Be a worker. The process ends here, so that only the parent does what comes after ``run()``."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for signum in self.signals:
                signal.signal(signum, signal.SIG_DFL)
            for signum in signal.SIGINT, signal.SIGHUP:  # a terminal sends them to all its processes
                signal.signal(signum, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(self.news)
            os.close(self.life_end)
            close_sockets([others for others in self.slots if others[0] is not sockets[0]])
            self.run_loop(self.serve(sockets))
            status = 0
        except BaseException:
            logger.critical('worker %d failed', os.getpid(), exc_info=True)
        finally:
            flush()
            os._exit(status)

    async def serve(self, sockets: 'list[socket]') -> None:
        """Serve until SIGTERM, however often it comes, or the parent's end; tell the parent if the app has stopped."""
        loop = asyncio.get_running_loop()
        shutdown = self.app.shutdown
        is_told = False

        def stop() -> None:
            nonlocal is_told
            is_told = True
            loop.remove_reader(self.life)
            when_serving(self.app, shutdown)

        def stop_all() -> None:
            self.tell(STOPS)
            shutdown()

        self.app.shutdown = stop_all  # type: ignore[method-assign] # the others do not have to wait for this one's end
        loop.add_signal_handler(signal.SIGTERM, stop)
        loop.add_reader(self.life, stop)
        when_serving(self.app, lambda: self.tell(SERVES))
        try:
            await self.serve_on(sockets)
            if not is_told:
                self.tell(STOPS)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # asyncio complains of one that comes while the loop closes

    def tell(self, what: int) -> None:
        with suppress(OSError):  # the parent is gone
            os.write(self.news_end, bytes([what]))
