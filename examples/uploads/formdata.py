"""A form with files: the page shows how far it is, the files go to a folder while they arrive.

Run it with CPython or MicroPython:  python formdata.py
Then open http://localhost:5000 in a browser.

"""
import os

from microdot import Microdot, Request, abort, send_file
from microdot.multipart import FormDataIter

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
UPLOADS = FOLDER + 'uploads/'
MAX_FILES = 50  # with the size of a request, this bounds what they take
MAX_NOTE = 200  # characters

# What is larger is refused with a 413. The default is 16 KB. Files are never in memory as a whole.
Request.max_content_length = 20 * 1024 * 1024
FormDataIter.max_form_size = 4096  # bytes of all text fields together

app = Microdot()
notes = {}  # by the name of the file, until the program ends
counter = 0


def list_files():
    """Return the names of the files, without those that have not arrived yet."""
    return sorted(name for name in os.listdir(UPLOADS) if name[0] != '.')


def free_name(name):
    """Return ``name``, or one like it if there is such a file. Systems differ in whether ``A`` is ``a``."""
    taken = [other.lower() for other in list_files()]
    stem, dot, extension = name.rpartition('.')
    if not stem:
        stem, dot, extension = name, '', ''
    number = 1
    while name.lower() in taken:
        number += 1
        name = '%s-%d%s%s' % (stem, number, dot, extension)
    return name


async def keep(file):
    """Save a file, and return the name that it has got."""
    global counter
    if len(os.listdir(UPLOADS)) >= MAX_FILES:
        abort(507, 'There is no more space.')
    counter += 1
    temporary = UPLOADS + '.%d' % counter
    await file.save(temporary)
    # file.filename leads nowhere else, whatever the browser has sent, but it may be long or hidden.
    name = free_name(file.filename[-50:].lstrip('.') or 'file')
    os.rename(temporary, UPLOADS + name)
    return name


@app.get('/')
async def index(request):
    return send_file(FOLDER + 'formdata.html')


@app.get('/uploads')
async def uploads(request):
    files = [{'name': name, 'size': os.stat(UPLOADS + name)[6], 'note': notes.get(name, '')} for name in list_files()]
    return {'files': files, 'max_size': Request.max_content_length}


@app.post('/uploads')
async def upload(request):
    saved = []
    note = ''
    # The values come in the order of the form. A file has to be read before the next step.
    async for name, value in FormDataIter(request):
        if isinstance(value, str):
            if name == 'note':
                note = value[:MAX_NOTE]
        elif value.filename:  # it is empty if no file was chosen
            saved.append(await keep(value))
            notes[saved[-1]] = note
    return {'saved': saved}, 201


@app.get('/uploads/<name>')
async def download(request, name):
    if name not in list_files():  # so no name can lead out of the folder
        abort(404)
    response = send_file(UPLOADS + name)
    # A page that somebody has uploaded must not run as one of this site.
    response.headers['Content-Disposition'] = 'attachment'
    response.headers['X-Content-Type-Options'] = 'nosniff'
    return response


def make_folder(path):
    """Make a folder, or remove from it what had not arrived when the program ended."""
    try:
        os.mkdir(path[:-1])
    except OSError:  # it is there
        for name in os.listdir(path):
            if name[0] == '.':
                os.remove(path + name)


if __name__ == '__main__':
    make_folder(UPLOADS)
    app.run(port=5000, debug=True)
