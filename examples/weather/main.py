"""A weather station: the board measures all the time, a page shows gauges and charts, programs get JSON.

Run it with CPython or MicroPython:  python main.py
Then open http://localhost:5000 in a browser. README.md tells how to run it on a board, and what to connect.

"""
import asyncio
import time

import wifi
from history import History

from microdot import Microdot, send_file

try:
    from sensor import Sensor
except ImportError:  # a computer has none
    from emulated_sensor import Sensor

FOLDER = ''.join(__file__.replace('\\', '/').rpartition('/')[:2])  # where this file is
PERIOD = 5  # seconds between two measurements; the sensor needs at least 2
SIZE = 180  # measurements that are kept: 15 minutes of them
STALE = 3 * PERIOD  # seconds until the last measurement does not count as the current one any more

app = Microdot()
celsius = History(SIZE)
humidity = History(SIZE)
measured = None  # the time of the last measurement that worked


async def measure(sensor):
    """Measure as long as the event loop runs, whatever the sensor does."""
    global measured
    while True:
        try:
            values = sensor.read()
            measured = time.time()
        except Exception as exc:  # MicroPython's driver raises nothing more special for a wrong checksum
            print('The sensor has failed:', exc)
            values = None, None
        celsius.append(values[0])
        humidity.append(values[1])
        await asyncio.sleep(PERIOD)


@app.get('/')
async def index(request):
    return send_file(FOLDER + 'index.html')  # in pieces: the board never has all of it in memory


@app.get('/api/current')
async def get_current(request):
    # An age, and not a time of day: few boards have a clock that is right.
    age = None if measured is None else int(time.time() - measured)
    return {'celsius': celsius.last, 'humidity': humidity.last, 'age': age, 'stale': age is None or age > STALE,
            'period': PERIOD}, {'Cache-Control': 'no-store'}


@app.get('/api/history')
async def get_history(request):
    """The oldest measurement comes first. ``null`` is one that failed."""
    return render_history(), {'Content-Type': 'application/json', 'Cache-Control': 'no-store'}


def render_history():
    yield '{"period": %s, "size": %d, "celsius": ' % (PERIOD, SIZE)
    yield from celsius.render()
    yield ', "humidity": '
    yield from humidity.render()
    yield '}'


async def main():
    wifi.start()
    measuring = asyncio.create_task(measure(Sensor()))
    await app.start_server(port=5000)
    measuring.cancel()


if __name__ == '__main__':
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
