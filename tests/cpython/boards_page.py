"""Run by test_boards_pages.py on MicroPython: boards_page.py FILE executes the snippets in a JSON file.

The file holds pairs of whether a snippet begins a new namespace, and its code. As in test_docs.py, ``run()`` and
``start_server()`` return at once, and functions ``test_*`` are run.

"""
import asyncio
import json
import sys

from microdot import Microdot


async def start_server(self, host='0.0.0.0', port=5000, debug=False, ssl=None):
    print('server on', port)


def run(self, host='0.0.0.0', port=5000, debug=False, ssl=None):
    print('server on', port)


Microdot.start_server = start_server
Microdot.run = run
namespace = {}
for is_new, code in json.load(open(sys.argv[1])):
    if is_new:
        namespace = {'__name__': '__main__'}
    before = dict(namespace)
    exec(code, namespace)
    for name, value in namespace.items():
        if name.startswith('test_') and before.get(name) is not value:
            result = value()
            if hasattr(result, 'send'):
                asyncio.run(result)
