"""Server-Sent Events: the server counts, and the page shows it.

Run it with CPython or MicroPython:  python counter.py
Then open http://localhost:5000 in a browser.

"""
import asyncio

from microdot import Microdot, send_file
from microdot.sse import with_sse

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is

app = Microdot()


@app.get('/')
async def index(request):
    return send_file(FOLDER + 'counter.html')


@app.get('/count')
@with_sse
async def count(request, sse):
    print('a page has come')
    last = sse.last_event_id or ''  # of a page that was connected before: go on where it is
    number = int(last) if last.isdigit() else 0
    try:
        while True:
            number += 1
            await sse.send({'number': number}, event_id=str(number), retry=2)
            await asyncio.sleep(1)
    finally:  # here with CancelledError when the page is gone
        print('a page has left')


if __name__ == '__main__':
    app.run(port=5000, debug=True)
