"""The pages of hello.py from an ASGI server.

Run it on CPython:  uvicorn hello_asgi:app
Then open http://localhost:8000 in a browser.

"""
from hello import app as pages

from microdot.asgi import Microdot

app = Microdot()
app.mount(pages)
