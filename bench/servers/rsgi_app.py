"""An application for granian's own interface, RSGI, without a framework: four paths by hand."""
import json

TEXT = [('content-type', 'text/plain; charset=utf-8')]
JSON = [('content-type', 'application/json')]


async def app(scope, protocol):
    path = scope.path
    if path == '/':
        protocol.response_str(200, TEXT, 'Hello, World!')
    elif path == '/json':
        protocol.response_str(200, JSON, json.dumps({'message': 'Hello, World!'}))
    elif path == '/echo' and scope.method == 'POST':
        protocol.response_str(200, JSON, json.dumps(json.loads(await protocol())))
    elif path.startswith('/users/'):
        protocol.response_str(200, TEXT, path[7:])
    else:
        protocol.response_empty(404, [])
