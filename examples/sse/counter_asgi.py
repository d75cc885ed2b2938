"""The events of counter.py from an ASGI server.

Run it on CPython with one of them:  uvicorn --timeout-graceful-shutdown 5 counter_asgi:app
                                     hypercorn counter_asgi:app
                                     granian --interface asgi --workers-kill-timeout 5 counter_asgi:app
                                     daphne counter_asgi:app
Then open http://localhost:8000 in a browser. Without these options, Uvicorn and Granian stop only when all
pages have left; Hypercorn 0.18 does so in any case on Python 3.12 and later.

"""
from counter import app as pages

from microdot.asgi import Microdot

app = Microdot()
app.mount(pages)
