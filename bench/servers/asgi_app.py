"""An ASGI application without a framework: four paths by hand."""
import json

TEXT = b'text/plain; charset=utf-8'
JSON = b'application/json'


async def read_body(receive):
    body = b''
    more = True
    while more:
        message = await receive()
        body += message.get('body', b'')
        more = message.get('more_body', False)
    return body


async def respond(send, status, kind, body):
    headers = [(b'content-type', kind), (b'content-length', b'%d' % len(body))]
    await send({'type': 'http.response.start', 'status': status, 'headers': headers})
    await send({'type': 'http.response.body', 'body': body})


async def app(scope, receive, send):
    path = scope['path']
    if path == '/':
        await respond(send, 200, TEXT, b'Hello, World!')
    elif path == '/json':
        await respond(send, 200, JSON, json.dumps({'message': 'Hello, World!'}).encode())
    elif path == '/echo' and scope['method'] == 'POST':
        await respond(send, 200, JSON, json.dumps(json.loads(await read_body(receive))).encode())
    elif path.startswith('/users/'):
        await respond(send, 200, TEXT, path[7:].encode())
    else:
        await respond(send, 404, TEXT, b'')
