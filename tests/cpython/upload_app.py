"""The application of test_multipart_cpython.py, run as a process on CPython or MicroPython: upload_app.py PORT."""
import sys
from binascii import hexlify

from microdot import Microdot, Request
from microdot.multipart import FormDataIter, with_form_data

FORM = '''<!DOCTYPE html><meta charset="utf-8"><title>form</title>
<form method="post" action="/decorator" enctype="multipart/form-data" id="form"></form>'''

Request.max_content_length = 1 << 20
app = Microdot()


@app.get('/')
async def index(request):
    return FORM, {'Content-Type': 'text/html; charset=utf-8'}


@app.post('/iterator')
async def iterate(request):
    parts = []
    async for name, value in FormDataIter(request):
        parts.append([name] + (['', '', value] if isinstance(value, str) else await describe(value)))
    return parts


@app.post('/decorator')
@with_form_data
async def decorate(request):
    parts = []
    for values in request.form, request.files:
        for name in sorted(values):
            for value in values.getlist(name):
                parts.append([name] + (['', '', value] if isinstance(value, str) else await describe(value)))
    return parts


async def describe(file):
    content = b''
    while True:
        data = await file.read(1000)
        if not data:
            break
        content += data
    return [file.raw_filename, file.content_type, hexlify(content).decode()]


app.run('127.0.0.1', int(sys.argv[1]))
