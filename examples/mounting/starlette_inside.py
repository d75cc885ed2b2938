"""An application of Starlette as a part of one of Microdot.

Run it on CPython, in an environment with Starlette:  uvicorn starlette_inside:app
Then open http://localhost:8000 in a browser: this page is Microdot's, that of the valves is Starlette's.
With Microdot's own server:  python starlette_inside.py

"""
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from microdot.asgi import ASGIApp, Microdot

state = {'drip': 'closed', 'mist': 'closed'}


async def list_valves(request):
    forms = ['<form method="post" action="%s"><button>%s is %s</button></form>'
             % (request.url_for('turn_valve', name=name).path, name, to) for name, to in state.items()]
    return HTMLResponse('<h1>Valves</h1>' + ''.join(forms))


async def turn_valve(request):
    name = request.path_params['name']
    if name not in state:
        raise HTTPException(404)
    state[name] = 'closed' if state[name] == 'open' else 'open'
    return RedirectResponse(request.url_for('list_valves').path, 303)


valves = Starlette(routes=[Route('/', list_valves), Route('/{name}', turn_valve, methods=['POST'])])
app = Microdot()
app.mount(ASGIApp(valves), url_prefix='/valves')


@app.get('/')
async def index(request):
    return '<h1>Greenhouse</h1><a href="/valves/">Valves</a>', {'Content-Type': 'text/html; charset=UTF-8'}


if __name__ == '__main__':
    app.run(port=5000, debug=True)
