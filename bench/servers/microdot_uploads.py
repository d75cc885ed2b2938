"""Uploads to Microdot: the size of the file of a form, which is dropped."""
import argparse

from microdot import Microdot, Request
from microdot.multipart import FormDataIter

app = Microdot()


@app.post('/upload')
async def upload(request):
    size = 0
    async for _, value in FormDataIter(request):
        while piece := await value.read(262144):
            size += len(piece)
    return str(size)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--loop')
    options = parser.parse_args()
    Request.max_content_length = 1 << 30
    app.run(host='127.0.0.1', port=options.port, loop=options.loop)


if __name__ == '__main__':
    main()
