"""The application for Microdot on MicroPython, ours and upstream's: ``micropython servers/micropython_app.py PORT``.

The compiled package is where ``MICROPYPATH`` says.
"""
import sys

from microdot import Microdot

app = Microdot()


@app.get('/')
async def plain(request):
    return 'Hello, World!'


@app.get('/json')
async def json(request):
    return {'message': 'Hello, World!'}


@app.get('/users/<id>')
async def user(request, id):
    return id


@app.post('/echo')
async def echo(request):
    return request.json


app.run(host='127.0.0.1', port=int(sys.argv[1]))
