"""Everything of the core that it may load at first use, for test_board_packages.py: ``board_core_app.py PORT FILE``."""
import sys

from microdot import Microdot, Response, abort, redirect, send_file

app = Microdot()
users = Microdot()


@users.get('/<int:number>')
async def user(request, number):
    return {'number': number}


@app.post('/form')
async def form(request):
    return request.form['a'] + request.args['b']


@app.post('/json')
async def json(request):
    return request.json


@app.post('/body')
async def body(request):
    return str(len(request.body))


@app.get('/cookie')
async def cookie(request):
    response = Response(request.cookies['seen'])
    response.set_cookie('seen', 'yes', path='/', max_age=60, http_only=True)
    response.delete_cookie('old')
    return response


@app.get('/file')
async def file(request):
    return send_file(sys.argv[2], content_type='text/plain')


@app.get('/stream')
async def stream(request):
    return (text for text in ('a', 'b'))


@app.get('/redirect')
async def elsewhere(request):
    return redirect('/form')


@app.get('/abort')
async def teapot(request):
    abort(418, 'teapot')


@app.errorhandler(404)
async def not_found(request):
    return 'nothing', 404


@app.after_request
async def mark(request, response):
    response.headers['X-Marked'] = 'yes'


app.mount(users, url_prefix='/users')
app.run(host='127.0.0.1', port=int(sys.argv[1]))
