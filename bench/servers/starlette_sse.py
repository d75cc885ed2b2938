"""Server-Sent Events for Starlette with sse-starlette: see microdot_sse.py."""
import asyncio
import os

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

QUEUE_SIZE = 100
EVENT = {'data': 'x' * int(os.environ.get('BENCH_EVENT', 64))}
queues = set()


async def events(request):
    async def stream():
        queue = asyncio.Queue(QUEUE_SIZE)
        queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            queues.discard(queue)
    return EventSourceResponse(stream(), sep='\n')


async def publish(request):
    for queue in queues:
        if not queue.full():
            queue.put_nowait(EVENT)
    return Response(status_code=204)


app = Starlette(routes=[Route('/events', events), Route('/publish', publish, methods=['POST'])])
