"""A chat: what one browser says, all of them see.

Run it with CPython or MicroPython:  python chat.py
Then open http://localhost:5000 in several browsers.

"""
import asyncio
import json

from microdot import Microdot, send_file
from microdot.websocket import WebSocketError, with_websocket

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
MAX_WAITING = 20  # messages for a browser that is slow; beyond that, it misses the oldest

app = Microdot()
members = set()


class Member:
    """Somebody in the chat. A task of its own sends to it, so a slow browser does not hold up the others."""

    def __init__(self, ws):
        self.ws = ws
        self.waiting = []
        self.arrival = asyncio.Event()

    def post(self, message):
        self.waiting.append(message)
        del self.waiting[:-MAX_WAITING]
        self.arrival.set()

    async def send_all(self):
        try:
            while True:
                await self.arrival.wait()
                self.arrival.clear()
                while self.waiting:
                    await self.ws.send(self.waiting.pop(0))
        except WebSocketError:
            pass  # receive() raises it, too


def post_to_all(name, text):
    """Post a message to all members; without a name it is about the chat itself."""
    message = json.dumps({'name': name, 'text': text})
    for member in members:
        member.post(message)


@app.get('/')
async def index(request):
    return send_file(FOLDER + 'chat.html')


@app.get('/chat')
@with_websocket(ping_interval=20, ping_timeout=10)  # finds browsers that vanished without a word
async def chat(request, ws):
    name = request.args.get('name', '').strip()[:30] or 'Somebody'
    member = Member(ws)
    sending = asyncio.create_task(member.send_all())
    members.add(member)
    post_to_all('', name + ' has come in.')
    try:
        while True:
            text = await ws.receive()
            if isinstance(text, str) and text.strip():
                post_to_all(name, text)
    finally:
        members.remove(member)
        sending.cancel()
        post_to_all('', name + ' has left.')


if __name__ == '__main__':
    app.run(port=5000, debug=True)
