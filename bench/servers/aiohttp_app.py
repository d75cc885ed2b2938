"""The application for aiohttp, with its own server."""
import sys

from aiohttp import web

routes = web.RouteTableDef()


@routes.get('/')
async def plain(request):
    return web.Response(text='Hello, World!')


@routes.get('/json')
async def json(request):
    return web.json_response({'message': 'Hello, World!'})


@routes.get('/users/{id}')
async def user(request):
    return web.Response(text=request.match_info['id'])


@routes.post('/echo')
async def echo(request):
    return web.json_response(await request.json())


app = web.Application()
app.add_routes(routes)
web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), access_log=None, print=None, backlog=2048,
            keepalive_timeout=600)
