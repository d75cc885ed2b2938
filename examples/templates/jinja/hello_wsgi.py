"""The pages of hello.py from a WSGI server.

Run it on CPython:  gunicorn --threads 8 hello_wsgi:app
Then open http://localhost:8000 in a browser.

"""
from hello import app as pages

from microdot.wsgi import Microdot

app = Microdot()
app.mount(pages)
