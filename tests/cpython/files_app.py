"""The application of test_files_cpython.py, run as a process: files_app.py PORT KIND

KIND is an event loop for the server of CPython, or ``portable`` or ``micropython`` for the portable server. The
environment variable FILES_FOLDER is the directory that is served.

"""
import os
import sys

from microdot import Microdot, send_file
from microdot import microdot as core
from microdot.files import Static

port, kind = sys.argv[1:]
folder = os.getenv('FILES_FOLDER')
run_options = {}
if kind == 'portable':
    core.make_server = lambda app, **options: core.Server(app)
if kind != 'micropython':
    run_options['loop'] = 'uvloop' if kind == 'uvloop' else 'asyncio'
answers = []  # what was asked for and how it was answered, see list_answers()


class App(Microdot):
    async def dispatch_request(self, request):
        response = await super().dispatch_request(request)
        headers = request.headers
        answers.append([request.path, headers.get('Range'), headers.get('If-None-Match'), response.status_code])
        return response


app = App()
app.linger_timeout = 1
Static(app, '/static', folder, index='index.html')
Static(app, '/kept', folder, max_age=3600)


@app.get('/')
async def index(request):
    return 'hello'


@app.get('/answers')
async def list_answers(request):
    found = list(answers)
    answers.clear()
    return found


@app.get('/file/<name>')
async def file(request, name):
    return send_file(folder + '/' + name)


app.run('127.0.0.1', int(port), **run_options)
