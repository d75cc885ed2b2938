"""The pins of a board with a web page: inputs are shown as they change, outputs are switched.

Run it with CPython or MicroPython:  python main.py
Then open http://localhost:5000 in a browser. README.md tells how to run it on a board, and what to connect.

"""
import asyncio

import wifi

from microdot import Microdot, abort, redirect, send_file
from microdot.csrf import CSRF

try:
    from machine import Pin, Signal
except ImportError:  # a computer has no pins
    from emulated_pins import Pin, Signal

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
INPUT, OUTPUT = 'input', 'output'

# What is connected to the board. This list is all that you have to change. The names become parts of addresses: use
# letters and digits. "invert" is for what is on while its pin is low, such as a button that connects it to ground.
PINS = [
    ('lamp', OUTPUT, Signal(Pin(2, Pin.OUT, value=0))),
    ('pump', OUTPUT, Signal(Pin(4, Pin.OUT, value=0))),
    ('button', INPUT, Signal(Pin(0, Pin.IN, Pin.PULL_UP), invert=True)),
    ('water', INPUT, Signal(Pin(5, Pin.IN, Pin.PULL_UP), invert=True)),
]

PAGE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pins</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<script src="page.js" type="module"></script>
</head>
<body>
<h1>Pins</h1>
<ul>
%s</ul>
<p id="state" role="status"></p>
</body>
</html>
'''
# A form works without JavaScript, too. It says what to switch to: sent twice, it does the same.
ROWS = {
    INPUT: '<li>{name} <output id="pin-{name}" class="{state}" aria-label="{name}">{state}</output></li>\n',
    OUTPUT: '<li>{name} <form method="post" action="pins/{name}"><button id="pin-{name}" name="to" value="{other}" '
            'role="switch" aria-checked="{checked}" aria-label="{name}">{state}</button></form></li>\n',
}

app = Microdot()
# The page of another site can make a browser that visits it send requests to the board. Those that switch something
# are answered only if the browser says that they come from a page of the board itself, or if no browser sends them.
# For PUT with JSON this is the second lock: browsers would ask the board first whether it lets other sites do that.
CSRF(app)


def describe(name, kind, signal):
    return {'name': name, 'kind': kind, 'on': bool(signal.value())}


def render(name, kind, signal):
    on = signal.value()
    return ROWS[kind].format(name=name, state='on' if on else 'off', other='off' if on else 'on',
                             checked='true' if on else 'false')


def find_output(name):
    for other, kind, signal in PINS:
        if other == name:
            if kind == INPUT:
                abort(400, 'This pin is an input.')
            return signal
    abort(404, 'There is no such pin.')


# The page

@app.get('/')
async def index(request):
    rows = ''.join([render(*pin) for pin in PINS])
    return PAGE % rows, {'Content-Type': 'text/html; charset=UTF-8', 'Cache-Control': 'no-store'}


@app.get('/page.css')
@app.get('/page.js')
async def page_file(request):
    return send_file(FOLDER + request.path[1:])  # it can only be one of the two; it is sent in pieces


@app.post('/pins/<name>')
async def post_pin(request, name):
    """Switch an output as the form says."""
    signal = find_output(name)
    to = request.form.get('to') if request.form else None
    if to not in ('on', 'off'):
        abort(400, 'It can be switched on or off.')
    signal.value(to == 'on')
    return redirect('/', 303)  # the browser gets the page anew, and reloading it switches nothing


# The same for programs: JSON

@app.get('/api/pins')
async def get_pins(request):
    return {'pins': [describe(*pin) for pin in PINS]}, {'Cache-Control': 'no-store'}


@app.put('/api/pins/<name>')
async def put_pin(request, name):
    """Switch an output: ``{"on": true}`` or ``{"on": false}``."""
    signal = find_output(name)
    on = request.json.get('on') if isinstance(request.json, dict) else None
    if not isinstance(on, bool):
        abort(400, 'Send {"on": true} or {"on": false}.')
    signal.value(on)
    return describe(name, OUTPUT, signal)


async def main():
    wifi.start()
    await app.start_server(port=5000)


if __name__ == '__main__':
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
