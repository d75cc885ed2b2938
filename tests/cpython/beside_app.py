"""Run by test_beside_process.py on either interpreter: beside_app.py PORT, what docs/boards/beside.md advises.

The program writes a line for whatever happens. After Ctrl-C it begins anew in the same process, as at the REPL of a
board; the second Ctrl-C ends it.

"""
import asyncio
import sys

starving = []
try:
    import asyncio.stream as stream
except ImportError:  # CPython
    pass
else:
    class Stream(stream.Stream):
        def __init__(self, *args):
            if starving:
                raise MemoryError(starving.pop())
            super().__init__(*args)

    stream.Stream = asyncio.StreamReader = asyncio.StreamWriter = Stream

from microdot import Microdot  # noqa: E402

PORT = int(sys.argv[1])
app = Microdot()


def say(text):
    sys.stdout.write(text + '\n')
    if hasattr(sys.stdout, 'flush'):
        sys.stdout.flush()


async def keep(job, *args):
    while True:
        try:
            await job(*args)
            return
        except Exception as exc:
            say('failed: %r' % exc)
        await asyncio.sleep(0.1)


async def tick():
    try:
        while True:
            await asyncio.sleep(0.05)
    finally:
        say('the job has ended')


@app.get('/')
async def index(request):
    return 'hello'


@app.get('/starve')
async def starve(request):
    """Let there be no memory for the next connection."""
    starving.append('for a stream')
    return 'starving'


@app.get('/break')
async def break_socket(request):
    """Close the descriptor beneath the listening socket, as a network stack does that was started anew."""
    for server in app.servers:
        open(listening_socket(server).fileno()).close()
    return 'broken'


def listening_socket(server):
    """Return the socket that MicroPython's event loop polls for the server, which is the one with no peer."""
    from asyncio import core
    for entry in core._io_queue.map.values():
        if entry[2] is not None and str(entry[2]).startswith('<_socket') and is_listening(entry[2]):
            return entry[2]
    raise AssertionError


def is_listening(sock):
    try:
        sock.accept()
    except OSError as exc:
        return exc.args[0] == 11  # EAGAIN: there is nobody to accept; of a connection it is EINVAL
    return False


async def main():
    task = asyncio.create_task(keep(tick))
    try:
        await keep(app.start_server, '127.0.0.1', PORT)
    finally:
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass


async def wind_up():
    app.shutdown()
    await asyncio.sleep(1)


for attempt in 'first', 'second':
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        say('interrupted')
        asyncio.run(wind_up())  # MicroPython: with the tasks of before, which CPython has ended
    say('the %s run has ended' % attempt)
