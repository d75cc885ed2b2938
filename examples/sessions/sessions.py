"""A page that remembers what each visitor has planted, in a session.

Run it with CPython or MicroPython:  python sessions.py
Then open http://localhost:5000 in two browsers.

The server keeps nothing but the key that it signs sessions with. It is in the file secret.key, which is made at the
first start. Keep that file out of version control, and the same on all machines that serve one site.

"""
import os

from microdot import Microdot, redirect
from microdot.csrf import CSRF
from microdot.session import Session, with_session

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
MAX_BEDS = 8  # with the length of a name, this bounds the session: browsers take 4 KB, boards half as much
MAX_NAME = 20

PAGE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Your beds</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
label { display: block; }
input, button { font: inherit; padding: .4rem .7rem; }
form { margin: 1rem 0; }
li { overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>Your beds</h1>
<p id="state">%s</p>
<ol>%s</ol>
<form method="post" action="/plant">
<label for="crop">Crop</label>
<input id="crop" name="crop" maxlength="20" required autofocus autocomplete="off"> <button>Plant</button>
</form>
<form method="post" action="/harvest"><button>Harvest all</button></form>
</body>
</html>
'''

app = Microdot()
CSRF(app)  # pages of other sites cannot plant anything


def escape(text):
    """Return a text for a page: what a visitor types must not become a part of it."""
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('"', '&quot;')


@app.get('/')
@with_session
async def index(request, session):
    beds = session.get('beds', [])
    state = '%d of %d beds are planted.' % (len(beds), MAX_BEDS)
    items = ''.join(['<li>%s</li>' % escape(crop) for crop in beds])
    # not kept by the browser: the "back" button is to show the beds as they are
    return PAGE % (state, items), {'Content-Type': 'text/html', 'Cache-Control': 'no-store'}


@app.post('/plant')
@with_session
async def plant(request, session):
    crop = request.form.get('crop', '').strip()[:MAX_NAME]
    beds = session.get('beds', [])
    if crop and len(beds) < MAX_BEDS:
        session['beds'] = beds + [crop]
        session.save()
    return redirect('/', 303)


@app.post('/harvest')
@with_session
async def harvest(request, session):
    session.delete()
    return redirect('/', 303)


def read_key(path):
    """Return the key from a file, and make the file at the first start."""
    try:
        with open(path, 'rb') as file:
            key = file.read()
    except OSError:  # there is none yet
        key = b''
    if len(key) < 32:
        key = os.urandom(32)
        with open(path, 'wb') as file:
            file.write(key)
    return key


if __name__ == '__main__':
    if hasattr(os, 'umask'):
        os.umask(0o077)  # files that nobody else on this computer can read
    # Where browsers come with https only, add cookie_options={'secure': True}.
    Session(app, secret_key=read_key(FOLDER + 'secret.key'))
    app.run(port=5000, debug=True)
