"""Server-Sent Events for Microdot: an event for all clients with each POST to /publish. BENCH_EVENT are its bytes."""
import argparse
import asyncio
import os

from microdot import Microdot
from microdot.sse import with_sse

QUEUE_SIZE = 100  # events that a client may be behind; it misses what comes then
EVENT = 'x' * int(os.environ.get('BENCH_EVENT', 64))
app = Microdot()
queues = set()


@app.get('/events')
@with_sse
async def events(request, sse):
    queue = asyncio.Queue(QUEUE_SIZE)
    queues.add(queue)
    try:
        while True:
            await sse.send(await queue.get())
    finally:
        queues.discard(queue)


@app.post('/publish')
async def publish(request):
    for queue in queues:
        if not queue.full():
            queue.put_nowait(EVENT)
    return '', 204


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--loop')
    options = parser.parse_args()
    app.run(host='127.0.0.1', port=options.port, **({'loop': options.loop} if options.loop else {}))


if __name__ == '__main__':
    main()
