"""The application for socketify (uWebSockets, C++), with handlers that are plain functions: its fastest way."""
import json
import sys

from socketify import App

app = App()


def plain(res, req):
    res.write_header('Content-Type', 'text/plain; charset=utf-8').end('Hello, World!')


def get_json(res, req):
    res.end({'message': 'Hello, World!'})


def user(res, req):
    res.write_header('Content-Type', 'text/plain; charset=utf-8').end(req.get_parameter(0))


def echo(res, req):
    body = []

    def collect(res, chunk, is_last):
        body.append(chunk)
        if is_last:
            res.end(json.loads(b''.join(body)))
    res.on_data(collect)


app.get('/', plain)
app.get('/json', get_json)
app.get('/users/:id', user)
app.post('/echo', echo)
app.listen({'host': '127.0.0.1', 'port': int(sys.argv[1])})
app.run()
