"""An application of Microdot as a part of one of Starlette.

Run it on CPython, in an environment with Starlette:  uvicorn in_starlette:app
Then open http://localhost:8000 in a browser: this page is Starlette's, that of the valves is Microdot's.

"""
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from valves import app as pages

from microdot.asgi import Microdot

valves = Microdot()
valves.mount(pages)


async def index(request):
    return HTMLResponse('<h1>Greenhouse</h1><a href="/valves/">Valves</a>')


app = Starlette(routes=[Route('/', index), Mount('/valves', valves)])
