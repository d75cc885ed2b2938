"""What boards run beside the server: docs/boards/beside.md tells of it, and has the functions of the first section.

tests/cpython/test_boards_pages.py compares the two.

"""
import asyncio
import time

from helpers import ON_MICROPYTHON, changed
from live import Client, start, until
from microdot import Microdot

try:
    from time import ticks_add, ticks_diff, ticks_ms
except ImportError:  # CPython
    def ticks_ms():
        return time.monotonic_ns() // 1000000

    def ticks_add(ticks, delta):
        return ticks + delta

    def ticks_diff(later, earlier):
        return later - earlier

RETRY = 0.05  # seconds
SSID = 'greenhouse'
KEY = 'the passphrase'

printed = []
print_exception = printed.append


# ---------------------------------------------------------------------------------------------------------------
# The functions of the page
# ---------------------------------------------------------------------------------------------------------------

async def keep(job, *args):
    """Run a job until it returns. When it fails, say so and begin anew."""
    while True:
        try:
            await job(*args)
            return
        except Exception as exc:  # not a CancelledError, which ends it
            print_exception(exc)
        await asyncio.sleep(RETRY)


async def stop(tasks):
    """End tasks, and wait until they have cleaned up."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        try:
            await task
        except asyncio.CancelledError:
            pass


async def serve_beside(app, port, *jobs):
    """Serve until app.shutdown() is called, with jobs beside the server."""
    tasks = [asyncio.create_task(keep(job)) for job in jobs]
    try:
        await keep(app.start_server, '0.0.0.0', port)
    finally:
        await stop(tasks)


async def serve_again(app, port):
    """Serve, also after app.shutdown(). Cancel the task to end it."""
    while True:
        await keep(app.start_server, '0.0.0.0', port)
        await asyncio.sleep(RETRY)


async def stay_connected(wlan):
    """Connect, and connect again whenever the network was lost."""
    while True:
        if not wlan.isconnected():
            wlan.disconnect()  # ends an attempt that has not come to an end
            wlan.connect(SSID, KEY)
            for _ in range(20):
                if not wlan.isconnected():
                    await asyncio.sleep(RETRY)
        await asyncio.sleep(RETRY)


async def every(milliseconds, job):
    """Call a function at a steady rate, however long it takes."""
    due = ticks_ms()
    while True:
        job()
        due = ticks_add(due, milliseconds)
        wait = ticks_diff(due, ticks_ms())
        if wait < 0:  # too late: the next time counts from now
            due = ticks_ms()
        await asyncio.sleep(max(wait, 0) / 1000)


# ---------------------------------------------------------------------------------------------------------------
# The tests
# ---------------------------------------------------------------------------------------------------------------

class Wlan:
    """An interface that a test disconnects; it comes back ``attempts`` looks after it was told to connect."""

    def __init__(self, attempts=2, failures=0):
        self.attempts = attempts
        self.failures = failures  # calls of connect() that fail, as those of the ESP32 do in a wrong state
        self.left = -1
        self.log = []

    def lose(self):
        self.left = -1

    def isconnected(self):
        if self.left > 0:
            self.left -= 1
        return self.left == 0

    def disconnect(self):
        self.left = -1

    def connect(self, ssid, key):
        self.log.append((ssid, key))
        if self.failures:
            self.failures -= 1
            raise OSError('Wifi Internal State Error')
        self.left = self.attempts


def make_app():
    app = Microdot()

    @app.get('/')
    async def index(request):
        return 'hello'

    @app.get('/def')
    def blocks(request):
        time.sleep(0.3)
        return 'done'

    @app.post('/sleep')
    async def sleep(request):
        request.app.shutdown()
        return 'Good night.'

    return app


class At:
    """Where a ``Client`` connects to."""

    def __init__(self, port):
        self.port = port


async def free_port():
    server = await start(Microdot())
    server.close()
    await server.wait_closed()
    return server.port


async def connect(port):
    """Return a connection that is kept alive, as soon as there is a server."""
    for _ in range(500):
        client = None
        try:
            client = await Client.connect(At(port))
            assert await client.get() == (200, b'hello')
            return client
        except (OSError, AssertionError):  # MicroPython sees with the first bytes that a connection was refused
            if client:
                await client.close()
            await asyncio.sleep(0.01)
    raise AssertionError('the server did not start')


async def ask(port, method=b'GET', path=b'/'):
    """Send a request in a connection of its own, return the status code and the body of the response."""
    client = await connect(port)
    await client.send(b'%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' % (method, path))
    response = await client.read_response()
    await client.close()
    return response


async def ended(task):
    await asyncio.wait_for(task, 10)


async def is_refused(port):
    """Tell whether nobody listens."""
    try:
        client = await Client.connect(At(port))
    except OSError:
        return True
    try:
        await client.send(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        return not await client.read(1)
    except OSError:
        return True
    finally:
        await client.close()


async def test_wifi_is_lost_and_comes_back_while_the_server_goes_on():
    app = make_app()
    port = await free_port()
    wlan = Wlan()
    task = asyncio.create_task(serve_beside(app, port, lambda: stay_connected(wlan)))
    client = await connect(port)
    for i in range(3):
        await until(wlan.isconnected)
        assert wlan.log == [(SSID, KEY)] * (i + 1)
        assert await client.get() == (200, b'hello')
        wlan.lose()
        assert await client.get() == (200, b'hello')  # a connection that has survived goes on, too
    await client.close()
    assert await ask(port) == (200, b'hello')
    app.shutdown()
    await ended(task)
    assert not app.servers


async def test_an_interface_that_fails_is_tried_again():
    del printed[:]
    wlan = Wlan(failures=2)
    task = asyncio.create_task(keep(stay_connected, wlan))
    await until(wlan.isconnected)
    assert len(wlan.log) == 3
    assert [str(exc) for exc in printed] == ['Wifi Internal State Error'] * 2
    await stop([task])


async def test_an_access_point_that_stays_away_is_asked_now_and_then():
    wlan = Wlan(attempts=1000000)
    with_period = asyncio.create_task(stay_connected(wlan))
    await until(lambda: len(wlan.log) == 2)
    await stop([with_period])


async def test_a_job_that_fails_does_not_end_the_server():
    del printed[:]
    app = make_app()
    port = await free_port()
    failures = []

    async def measure():
        await asyncio.sleep(0)
        failures.append(1)
        raise ValueError('no sensor')

    task = asyncio.create_task(serve_beside(app, port, measure))
    await until(lambda: len(failures) > 1)
    assert await ask(port) == (200, b'hello')
    app.shutdown()
    await ended(task)
    assert [str(exc) for exc in printed] == ['no sensor'] * len(failures)
    count = len(failures)
    await asyncio.sleep(2 * RETRY)
    assert len(failures) == count, 'it goes on without the server'


async def test_a_job_that_returns_does_not_end_the_server():
    app = make_app()
    port = await free_port()

    async def job():
        pass

    task = asyncio.create_task(serve_beside(app, port, job))
    assert await ask(port) == (200, b'hello')
    app.shutdown()
    await ended(task)


async def test_jobs_clean_up_when_the_server_ends():
    for is_cancelled in False, True:
        app = make_app()
        port = await free_port()
        log = []

        async def job(log=log):
            log.append('begin')
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(0)
                log.append('end')

        task = asyncio.create_task(serve_beside(app, port, job, job))
        assert await ask(port) == (200, b'hello')
        assert log == ['begin'] * 2
        if is_cancelled:
            await stop([task])
        else:
            app.shutdown()
            await ended(task)
        assert log == ['begin'] * 2 + ['end'] * 2
        assert await is_refused(port)


async def test_the_server_waits_for_its_port():
    """As after a network stack has gone down, or while a program before this one still holds the port."""
    del printed[:]
    other = await start(Microdot())
    app = make_app()
    task = asyncio.create_task(serve_beside(app, other.port))
    await until(lambda: len(printed) > 1)
    assert isinstance(printed[0], OSError)
    other.close()
    await other.wait_closed()
    assert await ask(other.port) == (200, b'hello')
    app.shutdown()
    await ended(task)


async def test_a_server_that_ends_with_an_error_is_started_again():
    del printed[:]
    log = []

    class App:
        async def start_server(self, host, port):
            log.append((host, port))
            await asyncio.sleep(0)
            if len(log) < 3:
                raise OSError(128, 'the interface is gone')

    await asyncio.wait_for(serve_beside(App(), 80), 10)
    assert log == [('0.0.0.0', 80)] * 3
    assert len(printed) == 2


async def test_one_application_serves_on_the_same_port_again_and_again():
    app = make_app()
    port = await free_port()
    for i in range(10):
        task = asyncio.create_task(app.start_server('127.0.0.1', port))
        idle = await connect(port)  # it is closed by the server, which gives it a TIME_WAIT
        assert await ask(port) == (200, b'hello')
        if i % 2:
            app.shutdown()
            await ended(task)
        else:
            await stop([task])
        assert await idle.read() == b''
        await idle.close()
    await until(lambda: not app.servers)


async def test_a_server_that_begins_anew_after_each_shutdown():
    app = make_app()
    port = await free_port()
    task = asyncio.create_task(serve_again(app, port))
    for _ in range(3):
        idle = await connect(port)
        app.shutdown()
        assert await idle.read() == b''
        await idle.close()
    assert await ask(port) == (200, b'hello')
    await stop([task])
    assert await is_refused(port)


async def test_a_request_that_never_ends_holds_up_a_restart_for_the_graceful_timeout():
    app = make_app()
    app.graceful_timeout = 0.2
    log = []

    @app.get('/endless')
    async def endless(request):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            log.append('cancelled')
            raise

    port = await free_port()
    task = asyncio.create_task(app.start_server('127.0.0.1', port))
    client = await connect(port)
    await client.send(b'GET /endless HTTP/1.1\r\nHost: a\r\n\r\n')
    assert await ask(port) == (200, b'hello')
    app.shutdown()
    await ended(task)
    assert log == ['cancelled']
    task = asyncio.create_task(app.start_server('127.0.0.1', port))
    assert await ask(port) == (200, b'hello')
    app.shutdown()
    await ended(task)
    await client.close()


async def test_shutdown_ends_all_servers_of_an_application():
    app = make_app()
    ports = []
    for _ in range(3):
        ports.append(await free_port())
    tasks = [asyncio.create_task(app.start_server('127.0.0.1', port)) for port in ports]
    for port in ports:
        assert await ask(port) == (200, b'hello')
    app.shutdown()
    for task in tasks:
        await ended(task)
    assert not app.servers


async def test_a_steady_rate():
    calls = []

    def job():
        calls.append(ticks_ms())
        time.sleep(0.01)  # which must not add to the period

    task = asyncio.create_task(every(50, job))
    await until(lambda: len(calls) == 11)
    await stop([task])
    assert 490 <= ticks_diff(calls[-1], calls[0]) < 5000, calls


async def test_a_job_that_takes_too_long_is_not_called_in_a_burst():
    calls = []

    def job():
        calls.append(ticks_ms())
        if len(calls) == 1:
            time.sleep(0.2)

    task = asyncio.create_task(every(40, job))
    await until(lambda: len(calls) == 5)
    await stop([task])
    # one call at once, for the one that was missed, then the period again
    assert ticks_diff(calls[4], calls[1]) >= 115, calls


async def test_a_def_handler_stops_everything_on_micropython():
    app = make_app()
    port = await free_port()
    calls = []
    tasks = [asyncio.create_task(app.start_server('127.0.0.1', port)),
             asyncio.create_task(every(20, lambda: calls.append(ticks_ms())))]
    await until(lambda: len(calls) > 1)
    assert await ask(port, path=b'/def') == (200, b'done')
    gaps = [ticks_diff(calls[i + 1], calls[i]) for i in range(len(calls) - 1)]
    if ON_MICROPYTHON:
        assert max(gaps) >= 300, gaps
    else:
        assert len(gaps) >= 3, gaps
    app.shutdown()
    await ended(tasks[0])
    await stop(tasks[1:])


async def test_a_board_goes_to_sleep_when_its_answer_has_arrived():
    app = make_app()
    port = await free_port()
    for _ in range(2):  # it wakes up and serves again
        task = asyncio.create_task(app.start_server('127.0.0.1', port))
        assert await ask(port, b'POST', b'/sleep') == (200, b'Good night.')
        await ended(task)


async def test_idle_connections_do_not_keep_a_board_awake():
    app = make_app()
    port = await free_port()
    with changed(Microdot, keep_alive_timeout=1000):
        task = asyncio.create_task(app.start_server('127.0.0.1', port))
        idle = await connect(port)
        app.shutdown()
        await ended(task)
        await idle.close()


if ON_MICROPYTHON:  # CPython has none of this
    import micropython

    async def test_an_interrupt_wakes_a_task_beside_the_server():
        app = make_app()
        port = await free_port()
        flag = asyncio.ThreadSafeFlag()
        count = []

        async def measure():
            while True:
                await flag.wait()
                count.append(1)

        task = asyncio.create_task(serve_beside(app, port, measure))
        assert await ask(port) == (200, b'hello')
        for i in range(5):
            micropython.schedule(lambda _: flag.set(), 0)  # where callbacks of timers and pins run
            await until(lambda: len(count) == i + 1)  # noqa: B023
            assert await ask(port) == (200, b'hello')
        app.shutdown()
        await ended(task)
