"""What tools/soak.py visits, on MicroPython: ``micropython -m soak_app PORT CONNECTIONS``, beside the compiled package.

Each line on the standard input is answered with what ``micropython.mem_info()`` prints, and a line ``SAMPLE``: the
bytes of heap that were free before and after a collection, and how many tasks wait for a time or for a socket. The end
of the standard input ends the server.

"""
# ruff: noqa: E402
import gc

gc.threshold(4096)  # for the imports: modules stay for ever, and must not lie scattered between what loading has left

import asyncio
import os
import sys
from binascii import crc32

import micropython

from microdot import Microdot, Request, send_file
from microdot.files import Static
from microdot.multipart import FormDataIter, with_form_data
from microdot.sse import with_sse
from microdot.websocket import with_websocket

for part in ('parts', 'headers', 'hooks', 'protocol', 'forms', 'routing', 'streaming', 'sending', 'conditions',
             'media_types', 'part_headers', 'form_data', 'fragments', 'utf8'):
    __import__('microdot.' + part)  # now, and not into the middle of the heap when it is needed first

gc.threshold(-1)  # from now on as the server has it
Request.max_content_length = 64 * 1024  # of uploads, which go to a file as they come
Request.max_body_length = 4096  # in memory

app = Microdot()
app.max_connections = int(sys.argv[2])
Static(app, directory='files')


@app.get('/page/<int:number>')
async def page(request, number):
    text = '<h1>Page %d</h1>\n' % number + '<p>Nothing new.</p>\n' * (number % 40)
    return text, 200, {'Content-Type': 'text/html; charset=UTF-8'}


@app.get('/hello')
async def hello(request):
    return 'Hello, %s!' % request.args['name']


@app.get('/stream/<int:count>')
async def stream(request, count):
    return lines(count)


def lines(count):
    for i in range(count):
        yield 'line %d\n' % i
    if count % 2:
        raise ValueError('on purpose')


@app.get('/fail')
async def fail(request):
    raise ValueError('on purpose')


@app.post('/json')
async def total(request):
    return {'sum': sum(request.json['values']), 'values': request.json['values']}


@app.post('/echo')
async def echo(request):
    return request.body


@app.post('/digest')
async def digest(request):
    return await digest_of(request.stream)


async def digest_of(stream):
    size = crc = 0
    while True:
        data = await stream.read(512)
        if not data:
            return {'size': size, 'crc': crc}
        size += len(data)
        crc = crc32(data, crc)


@app.post('/form')
@with_form_data
async def form(request):
    result = await digest_of(request.files['file'])
    result['comment'] = request.form['comment']
    return result


@app.route('/uploads/<int:number>', ['GET', 'POST', 'DELETE'])  # in one, which saves 1.5 KB of heap
async def uploads(request, number):
    path = 'uploads/%d.bin' % number
    if request.method == 'GET':
        return send_file(path)
    if request.method == 'DELETE':
        os.remove(path)
        return None
    async for name, value in FormDataIter(request):
        if name == 'file':
            await value.save(path)
    return {'size': os.stat(path)[6]}


@app.get('/ws')
@with_websocket
async def echo_messages(request, ws):
    while True:
        await ws.send(await ws.receive())


@app.get('/push/<int:count>')
@with_websocket
async def push(request, ws, count):
    for i in range(count):
        await ws.send('message %d' % i)
        await asyncio.sleep_ms(20)


@app.get('/events/<int:count>')
@with_sse
async def events(request, sse, count):
    for i in range(count):
        await sse.send({'number': i}, event='tick', event_id=str(i))
        await asyncio.sleep_ms(20)


def count_tasks():
    """Return how many tasks wait for a time, or for a socket. Those that wait for each other are not seen."""
    queue = asyncio.core._task_queue
    waiting = []
    while queue.peek():
        task = queue.pop()
        waiting.append((task, task.ph_key))
    for task, when in waiting:
        queue.push(task, when)
    return len(waiting) + len(asyncio.core._io_queue.map)


async def report():
    requests = asyncio.StreamReader(sys.stdin)
    while await requests.readline():
        before = gc.mem_free()
        gc.collect()
        micropython.mem_info()
        print('SAMPLE', before, gc.mem_free(), count_tasks())


async def main():
    server = asyncio.create_task(app.start_server('127.0.0.1', int(sys.argv[1])))
    await report()
    app.shutdown()
    await server


asyncio.run(main())
