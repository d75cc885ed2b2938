"""Serves host_app.py with the standard library, a thread for each request: wsgiref_host.py PORT [PREFIX]

``wsgiref.validate`` looks at everything that server and application say to each other.

"""
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server
from wsgiref.util import shift_path_info
from wsgiref.validate import validator

from host_app import app


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


def mounted(environ, start_response):
    shift_path_info(environ)
    return checked(environ, start_response)


checked = validator(app)
server = make_server('127.0.0.1', int(sys.argv[1]), mounted if sys.argv[2:] else checked, Server)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pass
