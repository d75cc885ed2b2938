"""Logins with a form, "remember me", and a page that asks for the password once more.

Run it with CPython or MicroPython:  python login.py
The first start prints a password. Then open http://localhost:5000 in a browser.

It makes two files. secret.key signs the sessions: who has it can be any user. users.json has the hashes of passwords.
Keep both out of version control. To make another password:  python -m microdot.password
(for a board with --board), and put what it prints into users.json.
Use this with TLS: others in your network could read passwords and sessions.

"""
import json
import os
from binascii import hexlify

from microdot import Microdot, redirect
from microdot.csrf import CSRF
from microdot.login import Login
from microdot.microdot import invoke_handler
from microdot.password import check_password, hash_password, needs_rehash
from microdot.session import Session

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
MIN_LENGTH = 12  # of a new password

PAGE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Greenhouse</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 2rem auto; padding: 0 1rem; }
label { display: block; margin-top: 1rem; }
input, button { font: inherit; padding: .4rem .7rem; box-sizing: border-box; }
input:not([type=checkbox]) { width: 100%%; }
button { margin: 1rem 0; }
</style>
</head>
<body>
<h1>Greenhouse</h1>
<p id="state" role="status">%s</p>
%s
</body>
</html>
'''
LOGIN = '''<form method="post">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<label><input name="remember" type="checkbox"> Remember me for 30 days</label>
<button>Log in</button>
</form>'''
HOME = '''<p><a href="/password">Change your password</a></p>
<form method="post" action="/logout"><button>Log out</button></form>'''
CHANGE = '''<form method="post">
<input autocomplete="username" value="%s" hidden><!-- for the browser's list of passwords -->
<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="12" required autofocus>
<label for="again">Again</label>
<input id="again" name="again" type="password" autocomplete="new-password" required>
<button>Change it</button>
</form>'''

app = Microdot()
CSRF(app)  # pages of other sites can neither change the password nor log in our visitors as somebody else
login = Login()
users = {}


class User:
    def __init__(self, name, hash, logins=1):
        self.name = name
        self.hash = hash
        self.logins = logins  # counts up to log out all browsers

    @property
    def id(self):
        return '%s %d' % (self.name, self.logins)


@login.user_loader
async def load_user(user_id):
    user = users.get(user_id.rpartition(' ')[0])
    return user if user and user.id == user_id else None


def escape(text):
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('"', '&quot;')


def render(state, content, status=200):
    # not kept by the browser: after logging out, the "back" button shows nothing of the user
    return PAGE % (escape(state), content), status, {'Content-Type': 'text/html', 'Cache-Control': 'no-store'}


def render_change(request, state, status=200):
    return render(state, CHANGE % escape(request.g.current_user.name), status)


@app.get('/login')
async def show_login(request):
    return render('Please log in.', LOGIN)


@app.post('/login')
async def log_in(request):
    form = request.form or {}  # whatever was sent instead of one
    user = users.get(form.get('name', ''))
    password = form.get('password', '')
    # Also without a user, so that the time does not tell whether there is one. It takes a while: on CPython it runs in
    # a thread.
    hash = (user or nobody).hash
    if not await invoke_handler(check_password, hash, password) or not user:
        return render('This is not the name and the password of a user.', LOGIN, 403)
    if needs_rehash(hash):  # made elsewhere, or by an older version
        user.hash = await invoke_handler(hash_password, password)
        write_users()
    return await login.login_user(request, user, remember='remember' in form)


@app.post('/logout')
async def log_out(request):
    await login.logout_user(request)
    return redirect('/login', 303)


@app.get('/')
@login
async def index(request):
    return render('Hello, %s!' % request.g.current_user.name, HOME)


@app.get('/password')
@login.fresh  # those who were remembered have to log in first
async def show_change(request):
    return render_change(request, 'At least %d characters, please.' % MIN_LENGTH)


@app.post('/password')
@login.fresh
async def change(request):
    form = request.form or {}
    user = request.g.current_user
    password = form.get('password', '')
    if len(password) < MIN_LENGTH:
        return render_change(request, 'This is too short.', 400)
    if password != form.get('again', ''):
        return render_change(request, 'The two differ.', 400)
    user.hash = await invoke_handler(hash_password, password)
    user.logins += 1  # who knew the old password is logged out
    write_users()
    return await login.login_user(request, user)


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


def read_users():
    try:
        with open(FOLDER + 'users.json') as file:
            for name, (hash, logins) in json.load(file).items():
                users[name] = User(name, hash, logins)
    except OSError:  # the first start
        password = hexlify(os.urandom(8)).decode()
        users['gardener'] = User('gardener', hash_password(password))
        write_users()
        print('The password of gardener is %s (shown only now).' % password)


def write_users():
    """Write all users to a new file, which takes the place of the old one when it is complete."""
    temporary = FOLDER + 'users.new'
    with open(temporary, 'w') as file:
        json.dump({user.name: [user.hash, user.logins] for user in users.values()}, file)
    try:
        os.rename(temporary, FOLDER + 'users.json')
    except OSError:  # not all systems rename over a file
        os.remove(FOLDER + 'users.json')
        os.rename(temporary, FOLDER + 'users.json')


if __name__ == '__main__':
    if hasattr(os, 'umask'):
        os.umask(0o077)  # files that nobody else on this computer can read
    read_users()
    nobody = User('', hash_password(''))
    # Where browsers come with https only, add cookie_options={'secure': True}: it holds for both cookies.
    Session(app, secret_key=read_key(FOLDER + 'secret.key'))
    app.run(port=5000, debug=True)
