"""Hello from a WSGI application, which many servers can run.

Run it on CPython with one of them:  gunicorn --threads 8 hello_wsgi:app
                                     waitress-serve --listen 127.0.0.1:8000 hello_wsgi:app
                                     granian --interface wsgi hello_wsgi:app
                                     uwsgi --http11-socket :8000 --enable-threads --module hello_wsgi:app
Then open http://localhost:8000 in a browser. With Microdot's own server:  python hello_wsgi.py

"""
from microdot.wsgi import Microdot

app = Microdot()


@app.get('/')
async def index(request):
    return 'Hello, world!'


if __name__ == '__main__':
    app.run(debug=True)
