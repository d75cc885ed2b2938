"""The pages of the examples in Chromium, as their readers use them, but on a port that is free."""
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from browser import poll, start_chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from server_process import INTERPRETERS, free_port

ROOT = Path(__file__).parent.parent.parent
MARKUP = '<img src=x onerror="document.title=\'broken\'"><b>bold</b> & \u00e4\u4e16\U0001f331'


# Browsers

@pytest.fixture(scope='module')
def driver(tmp_path_factory):
    driver = start_chromium(tmp_path_factory.mktemp('profile'))
    yield driver
    driver.quit()


class Tab:
    """A page in a tab of its own."""

    def __init__(self, driver, url):
        driver.switch_to.new_window('tab')
        self.driver = driver
        self.handle = driver.current_window_handle
        driver.get(url)

    def find(self, id):
        self.driver.switch_to.window(self.handle)
        return self.driver.find_element(By.ID, id)

    def text(self, id):
        return self.find(id).text

    def wait_for(self, id, text, seconds=15):
        poll(lambda: text in self.text(id), seconds)

    def wait_for_state(self, state, seconds=15):
        poll(lambda: self.text('state') == state, seconds)

    def type(self, id, text):
        # chromedriver types only characters of the basic multilingual plane
        self.driver.execute_script('arguments[0].value = arguments[1]', self.find(id), text)
        self.find(id).send_keys(Keys.ENTER)

    def close(self):
        self.driver.switch_to.window(self.handle)
        self.driver.close()


@pytest.fixture
def open_tab(driver):
    blank = driver.window_handles[0]
    driver.get_log('browser')  # forget what the pages of other tests have reported
    driver.sites = ()

    def open_tab(url):
        driver.sites += (url,)
        return Tab(driver, url)

    yield open_tab
    for handle in driver.window_handles:
        if handle != blank:
            driver.switch_to.window(handle)
            driver.close()
    driver.switch_to.window(blank)


def check_console(driver):
    """Fail if a page has reported a mistake; that a server did not answer is none."""
    lines = [entry['message'] for entry in driver.get_log('browser')]
    lines = [line for line in lines if line.startswith(driver.sites)]  # and not those of a test before, which come late
    assert not [line for line in lines if 'ERR_CONNECTION_REFUSED' not in line and 'ERR_INCOMPLETE' not in line], lines


# Servers

class Example:
    """An example in a process of its own, in a copy of its folder."""

    def __init__(self, path, folder, interpreter):
        self.port = free_port()
        self.url = 'http://127.0.0.1:%d/' % self.port
        self.interpreter = interpreter
        shutil.copytree((ROOT / 'examples' / path).parent, folder, dirs_exist_ok=True)
        self.program = folder / Path(path).name
        source = self.program.read_text()
        assert source.count('port=5000') == 1
        self.program.write_text(source.replace('port=5000', 'port=%d' % self.port))
        self.log = folder / 'log'
        self.start()

    def start(self):
        source = str(ROOT / 'src')
        with self.log.open('wb') as log:
            self.process = subprocess.Popen(
                [*INTERPRETERS[self.interpreter], str(self.program)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, 'PYTHONUNBUFFERED': '1', 'PYTHONPATH': source, 'MICROPYPATH': source + ':.frozen'})
        poll(self.is_listening)

    def is_listening(self):
        assert self.process.poll() is None, self.output()
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    def output(self):
        return self.log.read_text()

    def wait_for(self, text, count=1, seconds=15):
        try:
            poll(lambda: self.output().count(text) >= count, seconds)
        except AssertionError:
            raise AssertionError(self.output()) from None

    def stop(self):
        self.process.send_signal(signal.SIGINT)  # which MicroPython knows, too
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
        assert 'Traceback' not in re.sub(r'Traceback.*\n.*\nKeyboardInterrupt', '', self.output()), self.output()


@pytest.fixture
def start(tmp_path):
    examples = []

    def start(path, interpreter='cpython'):
        examples.append(Example(path, tmp_path, interpreter))
        return examples[-1]

    yield start
    for example in examples:
        example.process.kill()
        example.process.wait()


# Tests

each_interpreter = pytest.mark.parametrize('interpreter', ['cpython', 'micropython'])


@each_interpreter
def test_echo(start, driver, open_tab, interpreter):
    example = start('websocket/echo.py', interpreter)
    tab = open_tab(example.url)
    tab.wait_for_state('connected')
    assert tab.find('send').is_enabled()
    tab.type('message', 'hello')
    tab.wait_for('replies', 'hello')
    tab.type('message', MARKUP)
    tab.wait_for('replies', MARKUP)
    tab.type('message', '\u4e16' * 1000)  # the longest, 3000 bytes
    tab.wait_for('replies', '\u4e16' * 1000)
    assert driver.title == 'Echo'
    tab.close()
    example.wait_for('a page has left', seconds=5)
    example.stop()


@each_interpreter
def test_echo_reconnects(start, driver, open_tab, interpreter):
    example = start('websocket/echo.py', interpreter)
    tab = open_tab(example.url)
    tab.wait_for_state('connected')
    example.stop()
    tab.wait_for_state('not connected')
    assert not tab.find('send').is_enabled()
    assert 'a page has left' in example.output()
    example.start()
    tab.wait_for_state('connected')
    tab.type('message', 'hello again')
    tab.wait_for('replies', 'hello again')
    check_console(driver)


@each_interpreter
def test_echo_notices_another_page(start, driver, open_tab, interpreter):
    """A page ends without being closed when it is loaded again, or when its tab goes on to another one."""
    example = start('websocket/echo.py', interpreter)
    tab = open_tab(example.url)
    tab.wait_for_state('connected')
    driver.refresh()
    example.wait_for('a page has left', seconds=5)
    tab.wait_for_state('connected')
    driver.get('about:blank')  # the browser keeps the page for the way back
    example.wait_for('a page has left', 2, seconds=5)
    driver.back()
    tab.wait_for_state('connected')
    tab.type('message', 'back again')
    tab.wait_for('replies', 'back again')


@each_interpreter
def test_chat(start, driver, open_tab, interpreter):
    example = start('websocket/chat.py', interpreter)
    tabs = []
    for name in 'Ada', '<i>Bob</i>':
        tab = open_tab(example.url)
        tab.type('name', name)
        tab.wait_for_state('connected')
        tabs.append(tab)
    ada, bob = tabs
    ada.wait_for('messages', '<i>Bob</i> has come in.')
    ada.type('message', MARKUP)
    for tab in tabs:
        tab.wait_for('messages', 'Ada: ' + MARKUP)
    bob.type('message', 'Hello Ada')
    for tab in tabs:
        tab.wait_for('messages', '<i>Bob</i>: Hello Ada')
        assert not driver.find_elements(By.CSS_SELECTOR, '#messages :not(p):not(strong):not(em)')
        assert driver.title == 'Chat'
    bob.close()
    ada.wait_for('messages', '<i>Bob</i> has left.', 5)
    example.stop()
    ada.wait_for_state('not connected')
    example.start()
    ada.wait_for_state('connected')
    ada.type('message', 'Anybody here?')
    ada.wait_for('messages', 'Ada: Anybody here?')
    check_console(driver)


@each_interpreter
def test_counter(start, driver, open_tab, interpreter):
    example = start('sse/counter.py', interpreter)
    tab = open_tab(example.url)
    tab.wait_for_state('connected')
    tab.wait_for('number', '1')
    tab.wait_for('number', '2')
    tab.find('stop').click()
    assert tab.text('state') == 'not connected'
    example.wait_for('a page has left', seconds=5)
    tab.find('stop').click()
    tab.wait_for_state('connected')
    tab.wait_for('number', '1')
    driver.get('about:blank')
    example.wait_for('a page has left', 2, seconds=5)
    driver.back()
    tab.wait_for_state('connected')
    tab.close()
    example.wait_for('a page has left', 3, seconds=5)
    example.stop()


@each_interpreter
def test_counter_reconnects(start, driver, open_tab, interpreter):
    """The browser connects again by itself, and the server goes on where the page is."""
    example = start('sse/counter.py', interpreter)
    tab = open_tab(example.url)
    tab.wait_for('number', '3')
    example.stop()
    tab.wait_for_state('not connected')
    before = int(tab.text('number'))
    example.start()
    tab.wait_for_state('connected')
    after = poll(lambda: int(tab.text('number')) > before and int(tab.text('number')))
    assert after < before + 5
    check_console(driver)


def test_counter_after_an_error(start, driver, open_tab):
    """After an answer that is no stream of events, a browser gives up; the page does not."""
    example = start('sse/counter.py')
    tab = open_tab(example.url)
    tab.wait_for('number', '1')
    source = example.program.read_text()
    example.stop()
    example.program.write_text(source.replace("'/count'", "'/nothing'"))
    example.start()
    poll(lambda: driver.execute_script('return performance.getEntriesByType("resource").length') and
         '404' in example.output())
    assert tab.text('state') == 'not connected'
    example.stop()
    example.program.write_text(source)
    example.start()
    tab.wait_for_state('connected')


def choose_files(tab, folder, contents):
    """Put files into the field for files, as a user does in the dialogue."""
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    tab.find('files').send_keys('\n'.join(str(folder / name) for name in contents))


@pytest.fixture
def slow_network(driver):
    """Let Chromium send a megabyte per second."""
    driver.set_network_conditions(latency=0, download_throughput=-1, upload_throughput=1_000_000)
    yield
    driver.delete_network_conditions()


def watch_progress(driver):
    driver.execute_script('''
        const progress = document.getElementById('progress');
        window.seen = [];
        new MutationObserver(() => seen.push(progress.value)).observe(progress, {attributes: true})''')


def list_texts(driver):
    return [item.text for item in driver.find_elements(By.CSS_SELECTOR, '#list li')]


@each_interpreter
def test_uploads(start, driver, open_tab, tmp_path, slow_network, interpreter):
    example = start('uploads/formdata.py', interpreter)
    tab = open_tab(example.url)
    contents = {'a <i>"photo" & more.bin': os.urandom(1_000_000), '\u00e4\u4e16 100%.html': b'<script>--\r\n' * 200}
    choose_files(tab, tmp_path / 'chosen', contents)
    tab.find('note').send_keys('<b>Ada\'s</b> "note" & \u00e4\u4e16')
    watch_progress(driver)
    tab.find('send').click()
    assert tab.find('cancel').is_enabled() and not tab.find('send').is_enabled()
    tab.wait_for('state', 'The server has saved a <i>"photo" & more.bin, \u00e4\u4e16 100%.html.')
    seen = driver.execute_script('return seen')
    assert seen == sorted(seen) and seen[-1] == 100 and any(0 < value < 90 for value in seen), seen
    assert tab.find('send').is_enabled() and not tab.find('cancel').is_enabled()
    tab.wait_for('list', '100%')
    note = ' <b>Ada\'s</b> "note" & \u00e4\u4e16'
    assert list_texts(driver) == ['a <i>"photo" & more.bin 977 KB' + note, '\u00e4\u4e16 100%.html 3 KB' + note]
    for link in driver.find_elements(By.CSS_SELECTOR, '#list a'):
        with urllib.request.urlopen(link.get_attribute('href')) as response:
            assert response.read() == contents[link.text]
    driver.refresh()
    tab.wait_for('list', '100%')
    check_console(driver)
    example.stop()


@each_interpreter
def test_uploads_cancelled_or_refused(start, driver, open_tab, tmp_path, slow_network, interpreter):
    example = start('uploads/formdata.py', interpreter)
    tab = open_tab(example.url)
    choose_files(tab, tmp_path / 'chosen', {'large.bin': bytes(21 * 1024 * 1024)})
    tab.find('send').click()
    assert tab.text('state') == '21,504 KB are more than the server takes, 20,480 KB.'
    driver.execute_script('document.getElementById("form").reset()')
    choose_files(tab, tmp_path / 'others', {'photo.bin': bytes(3_000_000)})
    tab.find('send').click()
    folder = tmp_path / 'uploads'
    poll(lambda: list(folder.iterdir()))
    tab.find('cancel').click()
    tab.wait_for('state', 'The upload was cancelled.')
    poll(lambda: not list(folder.iterdir()))
    driver.execute_script('document.getElementById("form").reset()')
    choose_files(tab, tmp_path / 'small', {'small.bin': bytes(1000)})
    driver.execute_script('document.getElementById("note").removeAttribute("maxlength")')
    driver.execute_script('document.getElementById("note").value = "x".repeat(5000)')
    tab.find('send').click()
    tab.wait_for('state', 'The server has refused it: A field of the form is too long')
    example.wait_for('GET /uploads', 3)  # the list, after each failure too
    assert not list_texts(driver) and not list(folder.iterdir())
    example.stop()


def grab_image(driver):
    """Return what the image on the page looks like now."""
    return driver.execute_script('''
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [160, 120];
        canvas.getContext('2d').drawImage(document.getElementById('video'), 0, 0);
        return canvas.toDataURL()''')


def wait_for_images(driver, count):
    images = set()
    poll(lambda: len(images) >= count or images.add(grab_image(driver)))


@each_interpreter
def test_video(start, driver, open_tab, interpreter):
    example = start('streaming/video.py', interpreter)
    tab = open_tab(example.url)
    wait_for_images(driver, 5)
    tab.find('stop').click()
    example.wait_for('a page has left', seconds=5)
    tab.find('stop').click()
    wait_for_images(driver, 5)
    driver.get('about:blank')
    example.wait_for('a page has left', 2, seconds=5)
    driver.back()
    wait_for_images(driver, 5)
    tab.close()
    example.wait_for('a page has left', 3, seconds=5)
    example.stop()
