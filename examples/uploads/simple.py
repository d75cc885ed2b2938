"""Uploads without a form: the body of a request goes to a file while it arrives.

Run it with CPython or MicroPython:  python simple.py
Then send a file:                    curl -T photo.jpg http://localhost:5000/files/
or, under another name:              curl -X PUT --data-binary @photo.jpg http://localhost:5000/files/me.jpg
and get it back:                     curl -O http://localhost:5000/files/photo.jpg

"""
import os

from microdot import Microdot, Request, abort, send_file

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
FILES = FOLDER + 'files/'
MAX_FILES = 20  # with the size of each, this bounds what the files take
LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.'
PIECE = 4096  # bytes in memory

# Larger ones are refused with a 413, at once if the client says how long they are. The default is 16 KB.
Request.max_content_length = 10 * 1024 * 1024

app = Microdot()
counter = 0


def check(name):
    """Let a name through if it is one on every system, and leads nowhere else."""
    if len(name) > 60 or name[:1] == '.' or name[-1:] == '.' or not all(letter in LETTERS for letter in name):
        abort(400, 'Names have up to 60 letters, digits, and any of _-.')


async def receive(stream, path):
    """Write what arrives to a file. One that breaks off is removed."""
    size = 0
    file = open(path, 'wb')
    try:
        with file:
            while True:
                piece = await stream.read(PIECE)
                if not piece:
                    return size
                size += file.write(piece)
    except BaseException:  # the client is gone, the server stops, the disk is full
        os.remove(path)
        raise


@app.put('/files/<name>')
async def put(request, name):
    global counter
    check(name)
    names = os.listdir(FILES)
    if name not in names and len(names) >= MAX_FILES:
        abort(507, 'There is no more space.')
    counter += 1
    temporary = FILES + '.%d' % counter
    # The old file stays as it is until all of the new one is there.
    size = await receive(request.stream, temporary)
    if name in os.listdir(FILES):
        os.remove(FILES + name)  # not all systems rename over a file
    os.rename(temporary, FILES + name)
    return {'name': name, 'size': size}, 200 if name in names else 201, {'Location': '/files/' + name}


@app.get('/files/<name>')
async def get(request, name):
    check(name)
    response = send_file(FILES + name, content_type='application/octet-stream')
    # A page that somebody has uploaded must not run as one of this site.
    response.headers['Content-Disposition'] = 'attachment'
    response.headers['X-Content-Type-Options'] = 'nosniff'
    return response


@app.get('/files/')
async def index(request):
    return sorted(name for name in os.listdir(FILES) if name[0] != '.')


def make_folder(path):
    """Make a folder, or remove from it what broke off when the program ended."""
    try:
        os.mkdir(path[:-1])
    except OSError:  # it is there
        for name in os.listdir(path):
            if name[0] == '.':
                os.remove(path + name)


if __name__ == '__main__':
    make_folder(FILES)
    app.run(port=5000, debug=True)
