"""The WebSocket of echo.py on Gunicorn, the one WSGI server that has what it takes.

Run it on CPython:  gunicorn --threads 100 echo_wsgi:app
Then open http://localhost:8000 in a browser. Each page that is open holds one of the threads.

"""
from echo import app as pages

from microdot.wsgi import Microdot

app = Microdot()
app.mount(pages)
