"""A site of files: pages, a style sheet that is compressed in advance, a picture.

Run it with CPython or MicroPython:  python static.py
Then open http://localhost:5000 in a browser. Load the page again: what has not changed is not sent again.

After a change of style.css, compress it again:  gzip -9 -n --keep --force site/style.css
A board can do without style.css then, since all browsers take the compressed one.

"""
from microdot import Microdot, send_file
from microdot.files import Static

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
SITE = FOLDER + 'site'

app = Microdot()


@app.get('/api/temperature')
async def temperature(request):
    return {'celsius': 21.5}


@app.errorhandler(404)
async def not_found(request):
    return send_file(SITE + '/404.html', 404)


# After the other routes, since it takes all paths that are left.
Static(app, url_prefix='', directory=SITE, index='index.html')

if __name__ == '__main__':
    app.run(port=5000, debug=True)
