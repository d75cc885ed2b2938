"""The application of test_process.py and test_tls.py, run as a process on CPython and on MicroPython.

server_app.py PORT [CERTIFICATE KEY]

"""
import asyncio
import ssl
import sys

from microdot import Microdot

app = Microdot()


class Ticker:
    """Streams three parts in 1.5 seconds."""

    def __init__(self):
        self.n = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.n == 3:
            raise StopAsyncIteration
        self.n += 1
        await asyncio.sleep(0.5)
        return 'tick\n'


@app.get('/')
async def index(request):
    return 'hello'


@app.get('/stream')
async def stream(request):
    return Ticker()


@app.get('/raise')
async def fail(request):
    raise ValueError('on purpose')


@app.get('/half')
async def half(request):
    def body():
        yield 'half'
        raise ValueError('on purpose')
    return body()


@app.get('/large')
async def large(request):
    def body():
        for _ in range(1000):
            yield b'x' * 10000
    return body()


@app.get('/shutdown')
async def shutdown(request):
    request.app.shutdown()
    return 'bye'


@app.get('/scheme')
async def scheme(request):
    return request.scheme


context = None
if sys.argv[2:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
app.header_timeout = 2
app.linger_timeout = 1
app.run('127.0.0.1', int(sys.argv[1]), ssl=context)
print('returned')
