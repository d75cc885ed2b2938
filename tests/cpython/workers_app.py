"""The application of test_workers.py, run as a process.

workers_app.py '{"port": 5000, "workers": 2, ...}'

"""
import asyncio
import json
import os
import random
import signal
import sys

from microdot import Microdot


class Broken(Microdot):
    async def start_server(self, *args, **kwargs):
        raise ValueError('on purpose')


settings = json.loads(sys.argv[1])
app = Broken() if settings.pop('is_broken', False) else Microdot()


@app.get('/')
async def index(request):
    return str(os.getpid())


@app.get('/random')
async def random_number(request):
    return '%d %s' % (os.getpid(), random.random())


@app.get('/slow')
async def slow(request):
    async def body():
        yield 'begin '
        await asyncio.sleep(0.5)
        yield 'end'
    return body()


@app.get('/never')
async def never(request):
    async def body():
        yield 'begin '
        await asyncio.sleep(1000)
    return body()


@app.get('/journal/<int:number>')
async def journal(request, number):
    os.write(1, b'%d\n' % number)  # at once, so that workers do not mix their lines
    await asyncio.sleep(0.005)
    return 'x' * 1000


@app.get('/loop')
async def loop(request):
    return type(asyncio.get_running_loop()).__module__


@app.get('/environment')
async def environment(request):
    return [[name for name in os.environ if name.startswith('LISTEN_')], os.get_inheritable(3)]


@app.get('/shutdown')
async def shutdown(request):
    request.app.shutdown()
    return 'bye'


def interrupted(signum, frame):
    raise AssertionError('run() has not taken this signal')


app.graceful_timeout = settings.pop('graceful_timeout', 30)
watched = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD
signal.signal(signal.SIGHUP, interrupted)
before = [signal.getsignal(signum) for signum in watched]
print('begun', flush=True)
app.run(**settings)
print('returned' if [signal.getsignal(signum) for signum in watched] == before else 'handlers are not restored')
