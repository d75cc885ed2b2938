"""Hello from an ASGI application, which many servers can run.

Run it on CPython with one of them:  uvicorn hello_asgi:app
                                     hypercorn hello_asgi:app
                                     granian --interface asgi hello_asgi:app
                                     daphne hello_asgi:app
Then open http://localhost:8000 in a browser. With Microdot's own server:  python hello_asgi.py

"""
from microdot.asgi import Microdot

app = Microdot()


@app.get('/')
async def index(request):
    return 'Hello, world!'


if __name__ == '__main__':
    app.run(debug=True)
