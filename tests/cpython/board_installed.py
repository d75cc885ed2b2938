"""What test_board_packages.py runs on MicroPython: ``board_installed.py PORT [EXTENSION...]``.

Imports the extensions, says where the core comes from, and serves the hello example.

"""
import sys

port, extensions = int(sys.argv[1]), sys.argv[2:]
for name in extensions:
    __import__('microdot.' + name)

import microdot.microdot  # noqa: E402

from hello import app  # noqa: E402  # isort: skip

print(microdot.microdot.__file__)
app.run(host='127.0.0.1', port=port)
