"""A greenhouse without passwords, in a local network: only its own page may open the valve.

Run it with CPython or MicroPython:  python greenhouse.py
Open http://localhost:5000 in a browser. Then run attacker.py, too, and see what its page can do.

"""
from microdot import Microdot, redirect
from microdot.csrf import CSRF

PAGE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Greenhouse</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
button { font: inherit; padding: .4rem .7rem; }
</style>
</head>
<body>
<h1>Greenhouse</h1>
<p id="refused" role="status">%s</p>
<form method="post" action="/valve">
  <p>The valve is <strong id="valve">%s</strong>.
  <button id="open" name="to" value="open">Open</button> <button id="close" name="to" value="closed">Close</button></p>
</form>
<form method="post" action="/lamp">
  <p>The lamp, which is not protected, is <strong id="lamp">%s</strong>.
  <button id="on" name="to" value="on">On</button> <button id="off" name="to" value="off">Off</button></p>
</form>
</body>
</html>
'''

app = Microdot()
csrf = CSRF(app)
state = {'valve': 'closed', 'lamp': 'off'}


def render(note=''):
    return PAGE % (note, state['valve'], state['lamp']), {'Content-Type': 'text/html; charset=UTF-8'}


def switch(request, name, values):
    value = request.form.get('to') if request.form else None
    if value not in values:
        return 'There is no such state.', 400
    state[name] = value
    return redirect('/', 303)


@app.get('/')
async def index(request):
    return render()


@app.post('/valve')
async def valve(request):
    return switch(request, 'valve', ('open', 'closed'))


@app.post('/lamp')
@csrf.exempt  # to see what happens without protection
async def lamp(request):
    return switch(request, 'lamp', ('on', 'off'))


@app.errorhandler(403)
async def forbidden(request):
    text, headers = render('A page of another site has tried to switch something. It was refused.')
    return text, 403, headers


if __name__ == '__main__':
    app.run(port=5000, debug=True)
