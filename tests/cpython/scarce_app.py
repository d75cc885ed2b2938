"""Run by test_scarce_sockets.py on MicroPython: scarce_app.py FOLDER PORT, with the compiled package in FOLDER.

A board with five sockets in all: one listens, four are connections. All that a page needs is in memory, because a file
would need a descriptor, too.

"""
import asyncio
import gc
import sys

sys.path.insert(0, sys.argv[1])

from microdot import Microdot  # noqa: E402
from microdot.sse import with_sse  # noqa: E402
from microdot.websocket import with_websocket  # noqa: E402

app = Microdot()
app.max_connections = 4

HTML = {'Content-Type': 'text/html; charset=UTF-8', 'Cache-Control': 'no-store'}
CSS = {'Content-Type': 'text/css', 'Cache-Control': 'no-store'}
SCRIPT = {'Content-Type': 'text/javascript', 'Cache-Control': 'no-store'}
SVG = {'Content-Type': 'image/svg+xml', 'Cache-Control': 'no-store'}

#: Eleven resources beside the page: a style, three scripts, five images, the icon, and what the last script asks for.
PAGE = '''<!doctype html>
<html lang="en"><head><title>Scarce</title>
<link rel="icon" href="/image/icon"><link rel="stylesheet" href="/style.css">
<script>window.loaded = []; window.failed = [];
addEventListener('error', event => failed.push(event.target.src || event.target.href || event.message), true)</script>
<script src="/script/a" defer></script><script src="/script/b" defer></script><script src="/script/c" defer></script>
</head><body>
<img src="/image/1"><img src="/image/2"><img src="/image/3"><img src="/image/4"><img src="/stream/5">
<p id="live"></p><p id="state">loading</p>
<script>
addEventListener('load', async () => {
    const response = await fetch('/data')
    loaded.push((await response.json()).name)
    const images = [...document.images].filter(image => image.naturalWidth == 40)
    const style = getComputedStyle(document.body).color
    document.getElementById('state').textContent =
        failed.length ? 'failed ' + failed : `${images.length} images, ${loaded}, ${style}`
})
</script>%s</body></html>
'''

#: More for the page: a WebSocket and a stream of events that stay open.
LIVE = '''<script>
window.messages = []
const ws = new WebSocket('ws://' + location.host + '/ws')
ws.onopen = () => ws.send('hello')
ws.onmessage = event => messages.push(event.data)
ws.onclose = () => failed.push('WebSocket')
const source = new EventSource('/events')
source.onmessage = event => document.getElementById('live').textContent = event.data
</script>'''

IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle r="40" fill="green"/>'


@app.get('/')
async def index(request):
    return PAGE % '', HTML


@app.get('/live')
async def live(request):
    return PAGE % LIVE, HTML


@app.get('/style.css')
async def style(request):
    return 'body {color: rgb(1, 2, 3)}', CSS


@app.get('/script/<name>')
async def script(request, name):
    await asyncio.sleep(0.05)
    return 'loaded.push("%s")' % name, SCRIPT


@app.get('/image/<name>')
async def image(request, name):
    await asyncio.sleep(0.05)  # so that a browser opens all of its connections
    return IMAGE + '<!--' + 4000 * ' ' + '--></svg>', SVG


@app.get('/stream/<name>')
async def stream(request, name):
    def pieces():
        yield IMAGE
        for _ in range(40):
            yield '<!--' + 200 * ' ' + '-->'
        yield '</svg>'

    return pieces(), SVG


@app.get('/data')
async def data(request):
    return {'name': 'data'}


@app.get('/hello')
async def hello(request):
    return 'hello'


@app.get('/slow')
async def slow(request):
    await asyncio.sleep(0.5)
    return 'slow'


@app.get('/heap')
async def heap(request):
    gc.collect()
    return {'used': gc.mem_alloc(), 'free': gc.mem_free()}


@app.get('/ws')
@with_websocket
async def echo(request, ws):
    while True:
        await ws.send(await ws.receive())


@app.get('/events')
@with_sse
async def events(request, sse):
    number = 0
    while True:
        await sse.send(str(number))
        number += 1
        await asyncio.sleep(0.2)


app.run('127.0.0.1', int(sys.argv[2]))
