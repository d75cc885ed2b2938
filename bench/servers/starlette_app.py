"""The application for Starlette. BENCH_ROUTES="static 1000" or "dynamic 1000" adds routes."""
import os

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route


async def plain(request):
    return PlainTextResponse('Hello, World!')


async def json(request):
    return JSONResponse({'message': 'Hello, World!'})


async def user(request):
    return PlainTextResponse(request.path_params['id'])


async def echo(request):
    return JSONResponse(await request.json())


def extra_routes():
    kind, count = os.environ.get('BENCH_ROUTES', 'static 0').split()
    for number in range(1, int(count) + 1):
        if kind == 'static':
            yield Route(f'/item{number}', plain)
        else:
            yield Route(f'/item{number}/{{id}}', user)


app = Starlette(routes=[
    Route('/', plain),
    Route('/json', json),
    Route('/users/{id}', user),
    Route('/echo', echo, methods=['POST']),
    *extra_routes(),
])
