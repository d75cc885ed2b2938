"""The WebSocket of echo.py on an ASGI server.

Run it on CPython with one of them:  uvicorn echo_asgi:app
                                     hypercorn echo_asgi:app
                                     granian --interface asgi echo_asgi:app
                                     daphne echo_asgi:app
Uvicorn needs a library for it:      pip install "uvicorn[standard]"
Then open http://localhost:8000 in a browser.

"""
from echo import app as pages

from microdot.asgi import Microdot

app = Microdot()
app.mount(pages)
