"""An application of Microdot as a part of one of Flask.

Run it on CPython, in an environment with Flask:  gunicorn --threads 8 in_flask:app
Then open http://localhost:8000 in a browser: this page is Flask's, that of the valves is Microdot's.

"""
from flask import Flask
from valves import app as pages
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from microdot.wsgi import Microdot

valves = Microdot()
valves.mount(pages)
app = Flask(__name__)
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {'/valves': valves})


@app.get('/')
def index():
    return '<h1>Greenhouse</h1><a href="/valves/">Valves</a>'
