"""The application for Microdot, ours and upstream's: the same file runs in both virtual environments.

Options of ``app.run()``, and settings of the application, are passed only when they are given on the command line,
because upstream does not know all of them.
"""
import argparse
import os

from microdot import Microdot, Request, Response

try:
    from microdot.files import Static
except ImportError:  # upstream has none
    Static = None

app = Microdot()
MEGABYTE = b'x' * 1024 * 1024
PART = b'x' * 16 * 1024


@app.get('/')
async def plain(request):
    return 'Hello, World!'


@app.get('/json')
async def json(request):
    return {'message': 'Hello, World!'}


@app.get('/users/<id>')
async def user(request, id):
    return id


@app.post('/echo')
async def echo(request):
    return request.json


@app.get('/burn')
async def burn(request):
    """About a millisecond of pure computation."""
    return str(sum(i * i for i in range(20000)))


@app.get('/file')
async def file(request):
    return Response.send_file(os.environ['BENCH_FILE'], content_type='application/octet-stream')


@app.get('/large')
async def large(request):
    return MEGABYTE


@app.get('/stream')
async def stream(request):
    async def parts():
        for _ in range(len(MEGABYTE) // len(PART)):
            yield PART
    return parts()


def add_routes(kind, count):
    """Register ``count`` more routes, the last of which is ``/item<count>`` or ``/item<count>/<id>``."""
    for number in range(1, count + 1):
        if kind == 'static':
            app.route('/item%d' % number)(plain)
        else:
            app.route('/item%d/<id>' % number)(user)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--loop')
    parser.add_argument('--workers', type=int)
    parser.add_argument('--routes', nargs=2, metavar=('KIND', 'COUNT'))
    parser.add_argument('--set', nargs=2, action='append', default=[], metavar=('NAME', 'NUMBER'),
                        help='a class attribute of the application, such as max_connections')
    options = parser.parse_args()
    if options.routes:
        add_routes(options.routes[0], int(options.routes[1]))
    for name, number in options.set:
        getattr(app, name)  # a misspelt setting has to fail
        setattr(app, name, int(number))
    given = {name: value for name in ('loop', 'workers') if (value := getattr(options, name)) is not None}
    Request.max_content_length = 1024 * 1024
    if Static and 'BENCH_FILE' in os.environ:
        Static(app, directory=os.path.dirname(os.environ['BENCH_FILE']))
    app.run(host='127.0.0.1', port=options.port, **given)


if __name__ == '__main__':
    main()
