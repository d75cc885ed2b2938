"""WebSocket echo for Microdot, ours and upstream's: the same file runs in both virtual environments.

``--plain``: as if the package websockets were not installed, whose masking in C ours uses (the extra ``fast``).
"""
import argparse
import sys

if '--plain' in sys.argv:
    sys.modules['websockets'] = None

from microdot import Microdot, Request  # noqa: E402
from microdot.websocket import WebSocket, with_websocket  # noqa: E402

app = Microdot()


@app.get('/echo')
@with_websocket
async def echo(request, ws):
    while True:
        await ws.send(await ws.receive())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--loop')
    parser.add_argument('--plain', action='store_true')
    options = parser.parse_args()
    WebSocket.max_message_length = Request.max_body_length = 1024 * 1024
    app.run(host='127.0.0.1', port=options.port, **({'loop': options.loop} if options.loop else {}))


if __name__ == '__main__':
    main()
