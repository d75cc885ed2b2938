"""The applications for Microdot on other servers, ours and upstream's: the same file runs in both virtual environments.

``wsgi_app`` has handlers that are coroutine functions, ``wsgi_def_app`` plain ones.
"""
from microdot import asgi, wsgi


def plain(request):
    return 'Hello, World!'


def json(request):
    return {'message': 'Hello, World!'}


def user(request, id):
    return id


def echo(request):
    return request.json


async def async_plain(request):
    return 'Hello, World!'


async def async_json(request):
    return {'message': 'Hello, World!'}


async def async_user(request, id):
    return id


async def async_echo(request):
    return request.json


def with_routes(app, plain, json, user, echo):
    app.get('/')(plain)
    app.get('/json')(json)
    app.get('/users/<id>')(user)
    app.post('/echo')(echo)
    return app


asgi_app = with_routes(asgi.Microdot(), async_plain, async_json, async_user, async_echo)
wsgi_app = with_routes(wsgi.Microdot(), async_plain, async_json, async_user, async_echo)
wsgi_def_app = with_routes(wsgi.Microdot(), plain, json, user, echo)
