"""A WSGI application without a framework: four paths by hand."""
import json

TEXT = 'text/plain; charset=utf-8'
JSON = 'application/json'


def app(environ, start_response):
    path = environ['PATH_INFO']
    status, kind, body = '200 OK', TEXT, b''
    if path == '/':
        body = b'Hello, World!'
    elif path == '/json':
        kind, body = JSON, json.dumps({'message': 'Hello, World!'}).encode()
    elif path == '/echo' and environ['REQUEST_METHOD'] == 'POST':
        data = environ['wsgi.input'].read(int(environ['CONTENT_LENGTH']))
        kind, body = JSON, json.dumps(json.loads(data)).encode()
    elif path.startswith('/users/'):
        body = path[7:].encode()
    else:
        status = '404 Not Found'
    start_response(status, [('Content-Type', kind), ('Content-Length', str(len(body)))])
    return [body]
