"""A site behind a name and a password, which the browser asks for.

Run it with CPython or MicroPython:  python basic_auth.py
The first start prints a password, and keeps its hash in users.json. Open http://localhost:5000 in a browser, or:

curl -u gardener http://localhost:5000/

To make another password:  python -m microdot.password
(for a board with --board), and put what it prints into users.json. Use this with TLS: the password is in each request.

"""
import json
import os
from binascii import hexlify

from microdot import Microdot
from microdot.auth import BasicAuth
from microdot.password import check_password, hash_password

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
USERS = FOLDER + 'users.json'  # names and hashes of passwords; keep it out of version control

app = Microdot()
auth = BasicAuth(realm='Greenhouse')
users = {}


@auth.authenticate
def find_user(request, name, password):  # a def, since it takes a while: it runs in a thread on CPython
    if name in users and check_password(users[name], password):
        return name


@app.get('/')
@auth
async def index(request):
    return 'Hello, %s!\n' % request.g.current_user


@app.get('/temperature')
@auth.optional
async def temperature(request):
    if request.g.current_user is None:
        return {'celsius': 21}
    return {'celsius': 21.47, 'valves': {'north': 'open'}}


def read_users(path):
    """Return names and hashes from a file, which is made at the first start."""
    try:
        with open(path) as file:
            return json.load(file)
    except OSError:  # there is none yet
        password = hexlify(os.urandom(8)).decode()
        users = {'gardener': hash_password(password)}
        with open(path, 'w') as file:
            json.dump(users, file)
        print('The password of gardener is %s (shown only now).' % password)
        return users


if __name__ == '__main__':
    if hasattr(os, 'umask'):
        os.umask(0o077)  # files that nobody else on this computer can read
    users.update(read_users(USERS))
    app.run(port=5000, debug=True)
