"""The application for Sanic, with its own server in a single process: sanic_app.py PORT asyncio|uvloop."""
import sys

from sanic import Sanic
from sanic.response import json, text

app = Sanic('bench')
app.config.USE_UVLOOP = sys.argv[2] == 'uvloop'


@app.get('/')
async def plain(request):
    return text('Hello, World!')


@app.get('/json')
async def get_json(request):
    return json({'message': 'Hello, World!'})


@app.get('/users/<id>')
async def user(request, id):
    return text(id)


@app.post('/echo')
async def echo(request):
    return json(request.json)


if __name__ == '__main__':
    app.run(host='127.0.0.1', port=int(sys.argv[1]), single_process=True, access_log=False, motd=False)
