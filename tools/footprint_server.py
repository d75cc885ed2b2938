"""The hello example as tools/footprint.py measures it: ``micropython footprint_server.py PORT [memory]``.

With ``memory``, each line on the standard input is answered with the bytes of heap in use.

"""
import asyncio
import gc
import sys

from hello import app


@app.post('/')
async def length(request):
    return str(len(request.body))


async def report_memory():
    requests = asyncio.StreamReader(sys.stdin)
    while await requests.readline():
        gc.collect()
        print(gc.mem_alloc())


async def serve(port):
    server = asyncio.create_task(app.start_server(host='127.0.0.1', port=port))
    await report_memory()
    server.cancel()


if sys.argv[2:] == ['memory']:
    asyncio.run(serve(int(sys.argv[1])))
else:
    app.run(host='127.0.0.1', port=int(sys.argv[1]))
