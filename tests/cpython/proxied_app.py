"""Routes that show what arrives behind a proxy. test_behind_proxy.py adds them to the application of the page."""
import asyncio
import hashlib

from microdot import Microdot, Response

PIECE = bytes(range(256)) * 256  # 64 KB
PIECES = 320  # 20 MB in all


def add_routes(app: Microdot) -> None:
    connections = []
    gate = asyncio.Event()

    @app.get('/who')
    async def who(request):
        connection = request.sock[0]
        if connection not in connections:
            connections.append(connection)
        names = [name for name in request.headers if name.lower().endswith(('forwarded', 'real-ip'))]
        return {'client': request.client_addr[0], 'scheme': request.scheme, 'host': request.headers['Host'],
                'connection': connections.index(connection), 'names': names}

    @app.post('/upload')
    async def upload(request):
        digest = hashlib.sha256()
        size = 0
        while data := await request.stream.read(65536):
            digest.update(data)
            size += len(data)
        return {'size': size, 'sha256': digest.hexdigest()}

    @app.get('/download')
    async def download(request):
        headers = {} if 'chunked' in request.args else {'Content-Length': str(PIECES * len(PIECE))}
        return (PIECE for _ in range(PIECES)), headers

    @app.get('/stream')
    async def stream(request):
        async def body():
            yield 'first\n'
            await gate.wait()
            yield 'second\n'
        return Response(body(), headers={'X-Accel-Buffering': 'no'})

    @app.post('/go')
    async def go(request):
        gate.set()

    @app.get('/slow')
    async def slow(request):
        gate.set()
        await asyncio.sleep(0.5)
        return 'done'

    @app.get('/started')
    async def started(request):
        await gate.wait()
