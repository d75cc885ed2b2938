"""An interface for pages of another origin: the temperature of a greenhouse, and the one that it should have.

Run it with CPython or MicroPython:  python api.py
Then run dashboard.py, too, and open http://localhost:5001 in a browser. The page there may read what this program
answers. The same page as http://127.0.0.1:5001 has another origin, and may not.

"""
from microdot import Microdot
from microdot.cors import CORS
from microdot.csrf import CSRF

app = Microdot()
cors = CORS(app, allowed_origins=['http://localhost:5001'], allowed_methods=['GET', 'PUT'],
            allowed_headers=['Content-Type'], max_age=600)
CSRF(app, cors)  # so that these pages, and no others, may change something
greenhouse = {'celsius': 21.5, 'wanted': 20}


@app.get('/temperature')
async def temperature(request):
    return greenhouse


@app.put('/temperature')
async def set_temperature(request):
    try:
        wanted = float(request.json['wanted'])
    except (TypeError, ValueError, KeyError):  # such as None, when it is not JSON
        return {'error': 'send {"wanted": 20}'}, 400
    if not 5 <= wanted <= 35:
        return {'error': 'between 5 and 35 degrees, please'}, 400
    greenhouse['wanted'] = wanted
    return greenhouse


if __name__ == '__main__':
    app.run(port=5000, debug=True)
