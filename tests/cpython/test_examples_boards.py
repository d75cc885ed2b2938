"""The examples for boards: emulated on a computer, in Chromium, on what looks like a board, and in a small heap."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from browser import poll, start_chromium
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from server_process import INTERPRETERS, free_port

from board_modules import compile_mpy, needs

pytestmark = pytest.mark.once  # boards do not see the version of CPython

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / 'examples'
MICROPYTHON = str(Path(sys.executable).parent / 'micropython')
JSON = {'Content-Type': 'application/json'}
FORM = {'Content-Type': 'application/x-www-form-urlencoded'}
#: About what it sends with each request to a board.
CHROMIUM = {'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 '
                          'Safari/537.36', 'Accept': '*/*', 'Accept-Encoding': 'gzip, deflate',
            'Accept-Language': 'en-US,en;q=0.9', 'Referer': 'http://192.168.178.123:5000/'}
#: KB, with objects of 64 bits, the package compiled and the example as source; its README has the smallest one.
HEAPS = {'gpio': 140, 'weather': 130}

each_interpreter = pytest.mark.parametrize('interpreter', ['cpython', 'micropython'])
each_example = pytest.mark.parametrize('name', ['gpio', 'weather'])


class Example:
    """A copy of an example. ``changes`` are files, texts in them and what replaces those; ``files`` are all it has."""

    def __init__(self, name, folder, interpreter, changes=(), path=(ROOT / 'src',), files=None):
        self.folder = folder / name
        self.port = free_port()
        self.command = [*(INTERPRETERS[interpreter] if isinstance(interpreter, str) else interpreter), 'main.py']
        shutil.copytree(EXAMPLES / name, self.folder, ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy(self.folder / 'wifi_settings_template.py', self.folder / 'wifi_settings.py')
        for file in self.folder.iterdir() if files else ():
            if file.name not in files:
                file.unlink()
        for file, old, new in [('main.py', 'port=5000', 'port=%d' % self.port), *changes]:
            source = (self.folder / file).read_text()
            assert source.count(old) == 1, old
            (self.folder / file).write_text(source.replace(old, new))
        folders = ':'.join(map(str, path))
        self.environment = {**os.environ, 'PYTHONUNBUFFERED': '1', 'PYTHONPATH': folders,
                            'MICROPYPATH': folders + ':.frozen'}
        self.url = 'http://127.0.0.1:%d/' % self.port
        self.start()

    def start(self):
        with (self.folder / 'log').open('ab') as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        poll(self.is_listening)

    def is_listening(self):
        assert self.process.poll() is None, self.output()
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    def output(self):
        return (self.folder / 'log').read_text()

    def wait_for(self, text):
        poll(lambda: text in self.output())

    def request(self, method, path, body=None, headers=None):
        """Return the status, the headers, and the body, parsed if it is JSON."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            content = response.read().decode()
        finally:
            connection.close()
        is_json = response.headers['Content-Type'].startswith('application/json')
        return response.status, response.headers, json.loads(content) if is_json else content

    def get(self, path):
        status, _, content = self.request('GET', path)
        assert status == 200, content
        return content

    def stop(self):
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
        assert 'Traceback' not in self.output(), self.output()


@pytest.fixture
def start(tmp_path):
    examples = []

    def start(*args, **kwargs):
        examples.append(Example(args[0], tmp_path, *args[1:], **kwargs))
        return examples[-1]

    yield start
    for example in examples:
        example.process.kill()
        example.process.wait()


def start_weather(start, interpreter):
    """Start the weather station with a measurement each second, and room for a few."""
    return start('weather', interpreter, [
        ('main.py', '\nPERIOD = 5 ', '\nPERIOD = 1 '), ('main.py', '\nSIZE = 180 ', '\nSIZE = 6 ')])


# For programs

@each_interpreter
def test_gpio_api(start, interpreter):
    example = start('gpio', interpreter)
    status, headers, content = example.request('GET', '/api/pins')
    assert (status, headers['Cache-Control']) == (200, 'no-store')
    pins = {pin['name']: pin for pin in content['pins']}
    assert [pin['name'] for pin in content['pins']] == ['lamp', 'pump', 'button', 'water']
    assert pins['lamp'] == {'name': 'lamp', 'kind': 'output', 'on': False}
    assert (pins['water']['kind'], type(pins['water']['on'])) == ('input', bool)
    for on in True, False, False, True:
        status, _, pin = example.request('PUT', '/api/pins/pump', json.dumps({'on': on}), JSON)
        assert (status, pin) == (200, {'name': 'pump', 'kind': 'output', 'on': on})
        assert example.get('/api/pins')['pins'][1] == pin
    assert re.findall('pin 4 is (high|low)', example.output()) == ['high', 'low', 'low', 'high']
    for value in '{}', '{"on": 1}', '{"on": null}', '{"on": "on"}', '[true]', 'true', '7', '"', '':
        assert example.request('PUT', '/api/pins/lamp', value, JSON)[0] == 400, value
    assert example.request('PUT', '/api/pins/lamp', '{"on": true}')[0] == 400  # it is not said to be JSON
    assert example.request('PUT', '/api/pins/water', '{"on": true}', JSON)[::2] == (400, 'This pin is an input.')
    assert example.request('PUT', '/api/pins/other', '{"on": true}', JSON)[::2] == (404, 'There is no such pin.')
    assert example.request('PUT', '/api/pins', '{"on": true}', JSON)[0] == 405
    assert 'pin 2' not in example.output()
    poll(lambda: example.get('/api/pins')['pins'][2]['on'])
    poll(lambda: not example.get('/api/pins')['pins'][2]['on'])
    example.stop()


@each_interpreter
def test_gpio_form(start, interpreter):
    example = start('gpio', interpreter)
    assert 'value="on" role="switch" aria-checked="false" aria-label="lamp">off</button>' in example.get('/')
    status, headers, _ = example.request('POST', '/pins/lamp', 'to=on', FORM)
    assert (status, headers['Location']) == (303, '/')
    assert 'value="off" role="switch" aria-checked="true" aria-label="lamp">on</button>' in example.get('/')
    for body in 'to=<script>', 'to=', '', 'on=on':
        assert example.request('POST', '/pins/lamp', body, FORM)[0] == 400, body
    assert example.request('POST', '/pins/lamp', '{"to": "on"}', JSON)[0] == 400
    assert example.request('POST', '/pins/button', 'to=on', FORM)[0] == 400
    assert example.request('POST', '/pins/other', 'to=on', FORM)[0] == 404
    assert example.request('GET', '/pins/lamp')[0] == 405
    for path, kind in ('/page.css', 'text/css'), ('/page.js', 'text/javascript'):
        status, headers, content = example.request('GET', path)
        assert headers['Content-Type'].startswith(kind)
        assert content == (EXAMPLES / 'gpio' / path[1:]).read_text()
    for path in '/main.py', '/wifi.py', '/page.txt', '/../main.py':
        assert example.request('GET', path)[0] == 404, path
    example.stop()


@each_interpreter
def test_gpio_is_not_switched_by_other_sites(start, interpreter):
    example = start('gpio', interpreter)
    own = example.url[:-1]
    for headers in {'Origin': own}, {'Origin': own, 'Sec-Fetch-Site': 'same-origin'}:
        assert example.request('POST', '/pins/lamp', 'to=off', {**FORM, **headers})[0] == 303
        assert example.request('PUT', '/api/pins/lamp', '{"on": false}', {**JSON, **headers})[0] == 200
    for headers in {'Origin': 'http://elsewhere.example'}, {'Origin': 'null'}, {'Sec-Fetch-Site': 'cross-site'}:
        assert example.request('POST', '/pins/lamp', 'to=on', {**FORM, **headers})[0] == 403
        assert example.request('PUT', '/api/pins/lamp', '{"on": true}', {**JSON, **headers})[0] == 403
        asked = {**headers, 'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'content-type'}
        assert not [name for name in example.request('OPTIONS', '/api/pins/lamp', headers=asked)[1]
                    if name.lower().startswith('access-control')]
    assert 'high' not in example.output()


@each_interpreter
def test_weather_api(start, interpreter):
    example = start_weather(start, interpreter)
    poll(lambda: len(example.get('/api/history')['celsius']) == 3)
    assert 10 < example.get('/api/current')['celsius'] < 26
    poll(lambda: len(example.get('/api/history')['celsius']) == 6)
    (example.folder / 'unplugged').touch()
    history = poll(lambda: is_gap_last(example.get('/api/history')))
    assert (history['period'], history['size']) == (1, 6)
    last = poll(lambda: is_stale(example.get('/api/current')))
    for name in 'celsius', 'humidity':
        assert len(history[name]) == 6 and None not in history[name][:-1]
        assert last[name] == history[name][-2]
    assert last['age'] > 3
    (example.folder / 'unplugged').unlink()
    current = poll(lambda: is_fresh(example.get('/api/current')))
    assert current['celsius'] == example.get('/api/history')['celsius'][-1]
    assert current['age'] <= 3 and 40 < current['humidity'] < 80
    assert example.request('GET', '/api/current')[1]['Cache-Control'] == 'no-store'
    assert example.request('POST', '/api/current', '{}', JSON)[0] == 405
    example.stop()


def is_gap_last(history):
    return history['celsius'][-1] is None and history['celsius'][-2] is not None and history


def is_stale(current):
    return current['stale'] and current


def is_fresh(current):
    return not current['stale'] and current


@each_interpreter
def test_weather_without_a_sensor(start, interpreter):
    """One that never answers keeps nothing else from working."""
    example = start('weather', interpreter, [('emulated_sensor.py', "if 'unplugged' in", "if '' in '' + '' or")])
    example.wait_for('The sensor has failed')
    assert example.get('/api/current') == {'celsius': None, 'humidity': None, 'age': None, 'stale': True, 'period': 5}
    assert example.get('/api/history') == {'period': 5, 'size': 180, 'celsius': [None], 'humidity': [None]}
    example.stop()


HISTORY_CHECK = '''
from history import History
history = History(3)
assert list(history) == [] and history.last is None
for value in 20, -5.25, None, 21.46, 3276, -3276:
    history.append(value)
    print(list(history), history.last, len(history.tenths), *history.render())
'''


@each_interpreter
def test_history(interpreter):
    result = subprocess.run([*INTERPRETERS[interpreter], '-c', HISTORY_CHECK], cwd=EXAMPLES / 'weather', text=True,
                            env={**os.environ, 'MICROPYPATH': '.:.frozen'}, stdout=subprocess.PIPE, check=True)
    assert result.stdout.splitlines() == [
        '[20.0] 20 3 [20.0]', '[20.0, -5.2] -5.25 3 [20.0, -5.2]', '[20.0, -5.2, None] -5.25 3 [20.0, -5.2, null]',
        '[-5.2, None, 21.5] 21.46 3 [-5.2, null, 21.5]', '[None, 21.5, 3276.0] 3276 3 [null, 21.5, 3276.0]',
        '[21.5, 3276.0, -3276.0] -3276 3 [21.5, 3276.0, -3276.0]']


# In a browser

@pytest.fixture(scope='module')
def driver(tmp_path_factory):
    driver = start_chromium(tmp_path_factory.mktemp('profile'), '--window-size=1000,800')
    yield driver
    driver.quit()


@pytest.fixture
def open_tab(driver):
    """A function that opens a page in a tab of its own, and returns a function that finds elements in it."""
    blank = driver.window_handles[0]
    driver.get_log('browser')  # forget what the pages of other tests have reported

    def open_tab(url):
        driver.switch_to.new_window('tab')
        handle = driver.current_window_handle
        driver.get(url)

        def find(selector):
            driver.switch_to.window(handle)
            return driver.find_element(By.CSS_SELECTOR, selector)

        return find

    yield open_tab
    for handle in driver.window_handles:
        if handle != blank:
            driver.switch_to.window(handle)
            driver.close()
    driver.switch_to.window(blank)


def wait_for_text(find, selector, text):
    def has_text():
        with suppress(NoSuchElementException, StaleElementReferenceException):  # the page is just being replaced
            return find(selector).text == text

    poll(has_text)


def check_console(driver, url):
    """Fail if a page has reported a mistake; that a server did not answer is none."""
    messages = [entry['message'] for entry in driver.get_log('browser')
                if entry['level'] == 'SEVERE' and entry['message'].startswith(url)]
    assert not [message for message in messages if 'ERR_CONNECTION_REFUSED' not in message], messages


@each_interpreter
def test_gpio_page(start, driver, open_tab, interpreter):
    # four connections are what a board with five sockets has
    example = start('gpio', interpreter, [('main.py', '\nCSRF(app)\n', '\nCSRF(app)\napp.max_connections = 4\n')])
    tabs = [open_tab(example.url) for _ in range(3)]
    find = tabs[-1]  # the one that is seen
    find('#pin-lamp').click()
    wait_for_text(find, '#pin-lamp', 'on')
    assert find('#pin-lamp').get_attribute('aria-checked') == 'true'
    example.wait_for('pin 2 is high')
    for state in 'on', 'off', 'on':
        wait_for_text(find, '#pin-button', state)
        assert find('#pin-button').get_attribute('class') == state
    for other in tabs:  # each asks when it comes into view
        wait_for_text(other, '#pin-lamp', 'on')
    find('#pin-lamp').click()
    wait_for_text(find, '#pin-lamp', 'off')
    example.wait_for('pin 2 is low')
    assert driver.execute_script('return performance.getEntriesByType("navigation").length') == 1
    check_console(driver, example.url)
    example.stop()
    wait_for_text(find, '#state', 'The board does not answer.')
    find('#pin-lamp').click()
    assert find('#pin-lamp').text == 'off'
    example.start()
    wait_for_text(find, '#state', '')
    find('#pin-pump').click()
    wait_for_text(find, '#pin-pump', 'on')
    check_console(driver, example.url)
    example.stop()


@each_interpreter
def test_gpio_page_without_scripts(start, driver, open_tab, interpreter):
    example = start('gpio', interpreter)
    find = open_tab('about:blank')
    driver.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': True})
    driver.get(example.url)
    for state, level in ('on', 'high'), ('off', 'low'):
        find('#pin-lamp').click()
        wait_for_text(find, '#pin-lamp', state)
        example.wait_for('pin 2 is ' + level)
        assert driver.current_url == example.url
    example.stop()


def count_points(find):
    path = find('#celsius .chart path').get_attribute('d') or ''
    return path.count('h0')


@each_interpreter
def test_weather_page(start, driver, open_tab, interpreter):
    example = start_weather(start, interpreter)
    find = open_tab(example.url)
    poll(lambda: re.fullmatch(r'\d\d\.\d °C', find('#celsius .number').text))
    assert re.fullmatch(r'\d\d\.\d %', find('#humidity .number').text)
    assert find('#state').text == ''
    poll(lambda: shows_what_it_says(find))
    poll(lambda: count_points(find) == 6)
    assert find('#celsius .chart path').get_attribute('d').count('M') == 1
    (example.folder / 'unplugged').touch()
    wait_for_text(find, '#state', 'The sensor does not answer.')
    poll(lambda: re.fullmatch(r'The values are \d+ seconds old\.', find('#age').text))
    assert find('#cards').get_attribute('class') == 'stale'
    assert re.fullmatch(r'\d\d\.\d °C', find('#celsius .number').text)
    (example.folder / 'unplugged').unlink()
    wait_for_text(find, '#state', '')
    assert find('#age').text == find('#cards').get_attribute('class') == ''
    driver.refresh()
    poll(lambda: 0 < count_points(find) < 6)  # there is a gap in the chart
    check_console(driver, example.url)
    example.stop()
    wait_for_text(find, '#state', 'The board does not answer.')
    assert find('#cards').get_attribute('class') == 'stale'
    example.start()
    wait_for_text(find, '#state', '')
    check_console(driver, example.url)
    example.stop()


def shows_what_it_says(find):
    """Tell whether the gauge, from -10 to 40 degrees, has moved to where its number is."""
    percent = float(find('#celsius .value').value_of_css_property('stroke-dasharray').split('px')[0])
    return abs(percent - 2 * (float(find('#celsius .number').text.split()[0]) + 10)) < 0.1


@each_example
def test_pages_in_the_dark_and_on_a_phone(start, driver, open_tab, name):
    example = start(name, 'cpython')
    open_tab(example.url)
    lightness = []
    for scheme in 'light', 'dark':
        driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {
            'features': [{'name': 'prefers-color-scheme', 'value': scheme}]})
        colour = driver.execute_script('return getComputedStyle(document.querySelector("h1")).color')
        lightness.append(sum(map(int, re.findall(r'\d+', colour)[:3])))
    assert lightness[0] < 200 < 600 < lightness[1]
    driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
        'width': 320, 'height': 640, 'deviceScaleFactor': 1, 'mobile': True})
    assert driver.execute_script('return document.documentElement.scrollWidth') == 320
    driver.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})
    driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': []})


# What looks like a board: the modules that a firmware has, and what they are asked to do is printed

MACHINE = '''
class Pin:
    IN, OUT, PULL_UP = 0, 1, 2

    def __init__(self, number, mode=IN, pull=None, value=None):
        self.number = number
        self.level = 1 if pull == Pin.PULL_UP else value


class Signal:
    def __init__(self, pin, invert=False):
        self.pin = pin
        self.invert = invert

    def value(self, *values):
        if values:
            self.pin.level = int(values[0])
            print('GPIO%d' % self.pin.number, self.pin.level)
        return self.pin.level ^ self.invert
'''
DHT = '''
class DHT22:
    count = 0

    def __init__(self, pin):
        print('DHT22 at GPIO%d' % pin.number)

    def measure(self):
        self.count += 1
        if self.count == 1:
            raise Exception('checksum error')

    def temperature(self):
        return 21.5

    def humidity(self):
        return 48.3
'''
NETWORK = '''
import os
STA_IF = 0
names = ['Microdot']


def hostname(name):
    names[0] = name


class WLAN:
    """The first attempt fails. Then it is connected as long as there is no file "lost"."""
    attempts = 0
    is_connected = False

    def __init__(self, interface):
        assert interface == STA_IF

    def active(self, is_active):
        print('active as', names[0])

    def isconnected(self):
        self.is_connected = self.is_connected and 'lost' not in os.listdir('.')
        return self.is_connected

    def disconnect(self):
        self.is_connected = False

    def connect(self, name, password):
        self.attempts += 1
        print('attempt', self.attempts, name, password)
        if self.attempts == 1:
            raise OSError('Wifi Internal Error')
        self.is_connected = True

    def ifconfig(self):
        return '192.0.2.7', '255.255.255.0', '192.0.2.1', '192.0.2.1'
'''


def commands(name, command):
    """Return the arguments of the commands in the README of an example that begin so."""
    return re.search(r'^mpremote %s (.+)$' % command, (EXAMPLES / name / 'README.md').read_text(), re.M)[1].split()


@pytest.fixture
def start_board(start, tmp_path):
    """A function that starts what the README of an example says to put on a board, with what the firmware has."""

    def start_board(name, interpreter, changes=()):
        firmware = tmp_path / 'firmware'
        (firmware / 'microdot').mkdir(parents=True)
        for module, source in ('machine', MACHINE), ('dht', DHT), ('network', NETWORK):
            (firmware / f'{module}.py').write_text(source)
        path = [firmware]
        if interpreter == 'cpython':
            path.append(ROOT / 'src')
        else:
            package = Path(commands(name, 'mip install')[0]).stem
            for module in needs() if package == 'core' else needs(package):
                compile_mpy(ROOT / 'src' / 'microdot' / f'{module}.py', firmware / 'microdot' / f'{module}.mpy')
        *files, target = commands(name, 'cp')
        assert target == ':'
        return start(name, interpreter, changes, path, files)

    return start_board


@each_interpreter
@each_example
def test_on_a_board(start_board, name, interpreter):
    example = start_board(name, interpreter, [('wifi.py', '\nPERIOD = 5 ', '\nPERIOD = 0.1 '),
                                              ('wifi.py', '\nPATIENCE = 20 ', '\nPATIENCE = 1 ')])
    example.wait_for('active as greenhouse')
    assert example.get('/')  # whether it is connected or not
    example.wait_for('the address of the board is 192.0.2.7')
    assert 'attempt 1 name of the network password of the network\nWi-Fi: Wifi Internal Error' in example.output()
    if name == 'gpio':
        assert not example.get('/api/pins')['pins'][3]['on']  # the pull-up, inverted
        assert example.request('PUT', '/api/pins/pump', '{"on": true}', JSON)[0] == 200
        assert 'GPIO4 1' in example.output()
    else:
        current = poll(lambda: is_fresh(example.get('/api/current')))
        assert (current['celsius'], current['humidity']) == (21.5, 48.3)
        assert 'DHT22 at GPIO4' in example.output() and 'checksum error' in example.output()
    (example.folder / 'lost').touch()
    example.wait_for('attempt 3')
    (example.folder / 'lost').unlink()
    poll(lambda: example.output().count('192.0.2.7') == 2)
    assert example.get('/')
    example.stop()


@each_example
def test_in_a_small_heap(start_board, name):
    """Four browsers at a time, and a history that is full."""
    changes = [('main.py', '\nPERIOD = 5 ', '\nPERIOD = 0.01 ')] if name == 'weather' else []
    example = start_board(name, [MICROPYTHON, '-X', 'heapsize=%dK' % HEAPS[name]], changes)
    if name == 'weather':
        poll(lambda: len(example.get('/api/history')['celsius']) == 180)
    visits = {'gpio': ['/', '/page.css', '/page.js', *['/api/pins'] * 5],
              'weather': ['/', '/api/history', *['/api/current'] * 5, '/api/history']}[name]
    for _ in range(3):
        browsers = [http.client.HTTPConnection('127.0.0.1', example.port, timeout=20) for _ in range(4)]
        for path in visits:
            for browser in browsers:
                browser.request('GET', path, headers=CHROMIUM)
            for browser in browsers:
                response = browser.getresponse()
                assert response.status == 200 and response.read()
        if name == 'gpio':
            assert example.request('PUT', '/api/pins/lamp', '{"on": true}', {**JSON, **CHROMIUM})[0] == 200
        for browser in browsers:
            browser.close()
    assert 'MemoryError' not in example.output(), example.output()


def test_what_the_examples_share():
    """Each folder has all that is copied to a board."""
    for name in 'wifi.py', 'wifi_settings_template.py':
        assert (EXAMPLES / 'gpio' / name).read_text() == (EXAMPLES / 'weather' / name).read_text()
