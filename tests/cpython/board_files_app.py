"""Run by test_board.py on MicroPython: board_files_app.py FOLDER PORT, with the compiled package in FOLDER."""
import gc
import sys

sys.path.insert(0, sys.argv[1])

from microdot import Microdot, Request, send_file  # noqa: E402
from microdot.multipart import FormDataIter  # noqa: E402

PATH = sys.argv[1] + '/upload.bin'
Request.max_content_length = 2 << 20
app = Microdot()
app.max_connections = 2


@app.get('/heap')
async def heap(request):
    gc.collect()
    return {'used': gc.mem_alloc()}


@app.post('/')
async def receive(request):
    names = []
    async for name, value in FormDataIter(request):
        names.append(name)
        if not isinstance(value, str):
            await value.save(PATH)
    return names


@app.get('/')
async def send(request):
    return send_file(PATH)


app.run('127.0.0.1', int(sys.argv[2]))
