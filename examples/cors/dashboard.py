"""A page that shows what another server, api.py, knows.

Run it with CPython or MicroPython:  python dashboard.py
See api.py.

"""
from microdot import Microdot, send_file

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is

app = Microdot()


@app.get('/')
async def index(request):
    return send_file(FOLDER + 'dashboard.html')


if __name__ == '__main__':
    app.run(port=5001, debug=True)
