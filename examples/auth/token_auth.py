"""An interface for programs and devices, each with a token.

Run it with CPython or MicroPython:  python token_auth.py
The first start prints a token, and keeps its digest in tokens.json. Then:

curl -H "Authorization: Bearer TOKEN" -X PUT http://localhost:5000/litres/7
curl http://localhost:5000/litres

Use this with TLS: the token is in each request.

"""
import hashlib
import json
import os
from binascii import hexlify

from microdot import Microdot
from microdot.auth import TokenAuth

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
TOKENS = FOLDER + 'tokens.json'  # digests of tokens, and the names of the devices; keep it out of version control

app = Microdot()
auth = TokenAuth()
devices = {}  # by the digest of the token
litres = {}  # by the name of the device


def digest(token):
    """Return what is kept of a token. It is long and random, so it needs no slow hash as passwords do."""
    return hexlify(hashlib.sha256(token.encode()).digest()).decode()


@auth.authenticate
async def find_device(request, token):
    return devices.get(digest(token))


@auth.errorhandler
async def refuse(request):
    return {'error': 'A valid token is needed.'}, 401


@app.put('/litres/<int:amount>')
@auth
async def put_litres(request, amount):
    litres[request.g.current_user] = amount
    return litres


@app.get('/litres')
async def get_litres(request):
    return litres


def read_tokens(path):
    """Return devices by the digests of their tokens from a file, which is made at the first start."""
    try:
        with open(path) as file:
            return json.load(file)
    except OSError:  # there is none yet
        token = hexlify(os.urandom(16)).decode()
        devices = {digest(token): 'pump'}
        with open(path, 'w') as file:
            json.dump(devices, file)
        print('The token of pump is %s (shown only now).' % token)
        return devices


if __name__ == '__main__':
    if hasattr(os, 'umask'):
        os.umask(0o077)  # files that nobody else on this computer can read
    devices.update(read_tokens(TOKENS))
    app.run(port=5000, debug=True)
