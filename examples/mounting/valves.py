"""The valves of a greenhouse: a site of its own, or a part of another one.

Run it with CPython or MicroPython:  python valves.py
Then open http://localhost:5000 in a browser. in_starlette.py and in_flask.py make it a part of something larger.

"""
from microdot import Microdot, redirect

app = Microdot()
state = {'drip': 'closed', 'mist': 'closed'}
FORM = '<form method="post" action="%s/%s"><button>%s is %s</button></form>'


@app.get('/')
async def list_valves(request):
    # The prefix is the choice of the site that this is a part of. Links begin with whatever it is.
    forms = [FORM % (request.root_path, name, name, to) for name, to in state.items()]
    return '<h1>Valves</h1>' + ''.join(forms), {'Content-Type': 'text/html; charset=UTF-8'}


@app.post('/<name>')
async def turn_valve(request, name):
    if name not in state:
        return 'There is no such valve.', 404
    state[name] = 'closed' if state[name] == 'open' else 'open'
    return redirect(request.root_path + '/', 303)


if __name__ == '__main__':
    app.run(port=5000, debug=True)
