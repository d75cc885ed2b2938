"""An application of Flask as a part of one of Microdot.

Run it on CPython, in an environment with Flask and a2wsgi:  uvicorn flask_inside:app
Then open http://localhost:8000 in a browser: this page is Microdot's, that of the valves is Flask's.
With Microdot's own server:  python flask_inside.py

"""
from a2wsgi import WSGIMiddleware
from flask import Flask, abort, redirect, render_template_string, url_for

from microdot.asgi import ASGIApp, Microdot

PAGE = '''<h1>Valves</h1>
{% for name, to in state.items() -%}
<form method="post" action="{{ url_for('turn_valve', name=name) }}"><button>{{ name }} is {{ to }}</button></form>
{%- endfor %}'''

valves = Flask(__name__)
state = {'drip': 'closed', 'mist': 'closed'}


@valves.get('/')
def list_valves():
    return render_template_string(PAGE, state=state)


@valves.post('/<name>')
def turn_valve(name):
    if name not in state:
        abort(404)
    state[name] = 'closed' if state[name] == 'open' else 'open'
    return redirect(url_for('list_valves'), 303)


app = Microdot()
app.mount(ASGIApp(WSGIMiddleware(valves)), url_prefix='/valves')


@app.get('/')
async def index(request):
    return '<h1>Greenhouse</h1><a href="/valves/">Valves</a>', {'Content-Type': 'text/html; charset=UTF-8'}


if __name__ == '__main__':
    app.run(port=5000, debug=True)
