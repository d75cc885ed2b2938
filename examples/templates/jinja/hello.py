"""Pages from templates of Jinja: a form, and a long table that is sent while it is made.

Run it with CPython, in an environment with Jinja:  python hello.py
Then open http://localhost:5000 in a browser.

"""
from microdot import Microdot, Response, abort
from microdot.jinja import Template

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
MAX_HOURS = 100000

app = Microdot()
Response.default_content_type = 'text/html'
Template.initialize(FOLDER + 'templates')


@app.route('/', methods=['GET', 'POST'])
async def index(request):
    name = request.form.get('name', '').strip() if request.method == 'POST' else ''
    return Template('hello.html').render(name=name)


@app.get('/temperatures')
async def temperatures(request):
    try:
        hours = min(request.args.get('hours', 48, type=int), MAX_HOURS)
    except ValueError:
        abort(400)
    return Template('temperatures.html').generate(hours=hours, readings=measure(hours))


def measure(hours):
    """Yield one reading after the other. They are never in memory all together, and neither is the page."""
    for hour in range(hours):
        celsius = 26.4 - abs(hour % 24 - 12) * 0.7
        yield {'hour': hour, 'celsius': celsius, 'is_warm': celsius > 22}


if __name__ == '__main__':
    app.run(port=5000, debug=True)
