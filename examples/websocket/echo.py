"""The simplest WebSocket: what the page sends comes back.

Run it with CPython or MicroPython:  python echo.py
Then open http://localhost:5000 in a browser.

"""
from microdot import Microdot, send_file
from microdot.websocket import with_websocket

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is

app = Microdot()


@app.get('/')
async def index(request):
    return send_file(FOLDER + 'echo.html')


@app.get('/echo')
@with_websocket
async def echo(request, ws):
    print('a page has come')
    try:
        while True:
            await ws.send(await ws.receive())  # receive() raises WebSocketError when the page is gone
    finally:
        print('a page has left')


if __name__ == '__main__':
    app.run(port=5000, debug=True)
