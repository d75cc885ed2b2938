"""Templates with Jinja, and what those with utemplate do on CPython only."""
import asyncio
import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import jinja2
import pytest

from helpers import logged_errors
from live import Client, serving, until
from microdot import Microdot, jinja, utemplate
from microdot.jinja import Template
from microdot.test_client import TestClient
from test_utemplate import fetch, join_chunks

SRC = Path(__file__).resolve().parent.parent.parent / 'src'
HTML = {'Content-Type': 'text/html'}
BEDS = '<ul>{% for bed in beds %}<li>{{ bed }}</li>{% endfor %}</ul>'


@pytest.fixture(autouse=True)
def clean_templates(tmp_path, monkeypatch):
    """Make a directory ``templates`` the current one's, and forget what was set up before and after."""
    (tmp_path / 'templates').mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Template, 'jinja_env', None)
    monkeypatch.setattr(utemplate.Template, 'loader', None)


def write(**files):
    for name, text in files.items():
        Path('templates', name + '.html').write_text(text)


def expected_beds(count):
    return '<ul>' + ''.join(f'<li>{i}</li>' for i in range(count)) + '</ul>'


# ---------------------------------------------------------------------------------------------------------------
# Rendering
# ---------------------------------------------------------------------------------------------------------------

def test_the_environment_is_made_at_the_first_use():
    write(a='{{ x }}')
    assert Template.jinja_env is None
    assert Template('a.html').render(x=1) == '1'
    environment = Template.jinja_env
    assert isinstance(environment, jinja2.Environment)
    Template('a.html')
    assert Template.jinja_env is environment


def test_render_takes_what_dict_takes():
    write(a='{{ x }}{{ y }}')
    assert Template('a.html').render({'x': 1}, y=2) == '12'
    assert ''.join(Template('a.html').generate({'x': 1}, y=2)) == '12'


@pytest.mark.parametrize(('value', 'expected'), [
    ('<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'),
    ('"><img src=x onerror=alert(1)>', '&#34;&gt;&lt;img src=x onerror=alert(1)&gt;'),
    ("' onmouseover='alert(1)", '&#39; onmouseover=&#39;alert(1)'), ('a & b', 'a &amp; b'), ('&lt;', '&amp;lt;'),
    (['<'], '[&#39;&lt;&#39;]'), (7, '7'), (utemplate.Safe('<b>'), '<b>')])
@pytest.mark.parametrize('name', ['a.html', 'a.htm', 'a.j2', 'a.svg', 'a', 'a.html.j2', 'a.tpl'])
def test_what_is_inserted_is_escaped(name, value, expected):
    Path('templates', name).write_text('<p title="{{ x }}">{{ x }}')
    assert Template(name).render(x=value) == f'<p title="{expected}">{expected}'


def test_what_is_not_escaped():
    Path('templates/a.txt').write_text('{{ x }}')
    write(a='{{ x|safe }}')
    assert Template('a.txt').render(x='<') == '<'
    assert Template('a.html').render(x='<') == '<'
    Template.initialize(autoescape=False)
    assert Template.jinja_env.from_string('{{ x }}').render(x='<') == '<'
    Template.initialize()
    assert Template.jinja_env.from_string('{{ x }}').render(x='<') == '&lt;'


def test_inheritance_and_includes():
    write(base='<title>{% block title %}none{% endblock %}</title>{% block body %}{% endblock %}',
          page='{% extends "base.html" %}{% block title %}{{ x }}{% endblock %}'
               '{% block body %}{% include "part.html" %}{% endblock %}',
          part='{% macro bold(y) %}<b>{{ y }}</b>{% endmacro %}{{ bold(x) }}')
    assert Template('page.html').render(x='<') == '<title>&lt;</title><b>&lt;</b>'


def test_initialize(tmp_path):
    (tmp_path / 'other').mkdir()
    Path('other/a.html').write_text('other <% x %>')
    write(b='b{{ y }}')
    Template.initialize('other', variable_start_string='<%', variable_end_string='%>')
    assert Template('a.html').render(x=1) == 'other 1'
    Template.initialize(tmp_path / 'other')
    assert Template('a.html').render() == 'other <% x %>'
    Template.initialize(['other', 'templates'], undefined=jinja2.StrictUndefined)
    with pytest.raises(jinja2.UndefinedError):
        Template('b.html').render()
    Template.initialize(loader=jinja2.DictLoader({'c.html': '{{ x }}'}))
    assert Template('c.html').render(x='<') == '&lt;'


def test_arguments_of_get_template():
    write(a='{{ x }}', **{'sub': ''})
    assert Template('a.html', globals={'x': 1}).render() == '1'

    class Relative(jinja2.Environment):
        def join_path(self, template, parent):
            return parent + '.' + template

    write(**{'parent.a': 'relative'})
    Template.jinja_env = Relative(loader=jinja2.FileSystemLoader('templates'))
    assert Template('a.html', parent='parent').render() == 'relative'


def test_missing_templates():
    write(a='{% include "none.html" %}')
    for name in 'none.html', '../secret.html', '/etc/passwd', 'a\0', '..', '':
        with pytest.raises(jinja2.TemplateNotFound):
            Template(name)
    with pytest.raises(jinja2.TemplateNotFound, match=r'none\.html'):
        Template('a.html').render()


@pytest.mark.parametrize('template_class', [Template, utemplate.Template])
def test_changed_templates_are_compiled_again(template_class):
    for age, text in enumerate(['one', 'two', 'six']):  # of the same size, and older
        write(a=text)
        os.utime('templates/a.html', (10 ** 9 - age, 10 ** 9 - age))
        assert template_class('a.html').render() == text


def test_without_jinja():
    code = 'import sys; sys.modules["jinja2"] = None; import microdot.jinja'
    result = subprocess.run([sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': str(SRC)}, text=True,
                            capture_output=True, timeout=30)
    assert result.stderr.endswith('ImportError: microdot.jinja needs Jinja: pip install "microdot[jinja]"\n')


def test_with_a_jinja_that_is_broken(tmp_path):
    (tmp_path / 'jinja2.py').write_text('import missing_dependency')
    result = subprocess.run([sys.executable, '-c', 'import microdot.jinja'], text=True, capture_output=True, timeout=30,
                            env={**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{SRC}'})
    assert result.stderr.endswith("No module named 'missing_dependency'\n")


# ---------------------------------------------------------------------------------------------------------------
# Streaming and async templates
# ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('enable_async', [False, True])
def test_pieces(monkeypatch, enable_async):
    write(a=BEDS)
    Template.initialize(enable_async=enable_async)
    template = Template('a.html')

    async def collect():
        return [piece async for piece in template.generate_async(beds=range(1000))]

    monkeypatch.setattr(Template, 'buffer_size', 100)
    pieces = list(template.generate(beds=range(1000)))
    assert ''.join(pieces) == template.render(beds=range(1000)) == expected_beds(1000)
    assert all(100 <= len(piece) < 200 for piece in pieces[:-1])
    assert asyncio.run(collect()) == pieces
    assert asyncio.run(template.render_async(beds=range(9))) == expected_beds(9)
    monkeypatch.setattr(Template, 'buffer_size', 0)
    assert len(list(template.generate(beds=range(1000)))) > 1000
    monkeypatch.setattr(Template, 'buffer_size', 10 ** 6)
    assert asyncio.run(collect()) == [expected_beds(1000)]


def test_empty_templates():
    write(a='')
    assert Template('a.html').render() == ''
    assert list(Template('a.html').generate()) == []


async def numbers(count):
    for i in range(count):
        await asyncio.sleep(0)
        yield i


async def label(text):
    await asyncio.sleep(0)
    return f'<{text}>'


async def test_templates_that_wait():
    write(a='{{ label("a") }}{% for i in numbers(3) %}{{ i }}{% endfor %}')
    Template.initialize(enable_async=True)
    values = {'label': label, 'numbers': numbers}
    assert await Template('a.html').render_async(**values) == '&lt;a&gt;012'
    assert [piece async for piece in Template('a.html').generate_async(**values)] == ['&lt;a&gt;012']


async def test_waiting_in_an_event_loop_is_refused():
    write(a='a')
    Template.initialize(enable_async=True)
    with pytest.raises(RuntimeError, match=r'use render_async\(\)'):
        Template('a.html').render()
    with pytest.raises(RuntimeError, match=r'use generate_async\(\)'):
        list(Template('a.html').generate())


def make_app():
    app = Microdot()
    app.seen = []

    @app.get('/render')
    async def render(request):
        return Template('a.html').render(beds=range(3)), HTML

    @app.get('/render-plain')
    def render_plain(request):
        return Template('a.html').render(beds=range(3)), HTML

    @app.get('/render-async')
    async def render_async(request):
        return await Template('a.html').render_async(beds=range(3)), HTML

    @app.get('/generate/<int:count>')
    async def generate(request, count):
        return Template('a.html').generate(beds=range(count)), HTML

    @app.get('/generate-plain/<int:count>')
    def generate_plain(request, count):
        return Template('a.html').generate(beds=range(count)), HTML

    @app.get('/generate-async/<int:count>')
    async def generate_async(request, count):
        return Template('a.html').generate_async(beds=range(count)), HTML

    add_long_responses(app)
    return app


def add_long_responses(app):
    @app.get('/fails/<method>')
    async def fails(request, method):
        def beds():
            try:
                yield from range(2000)
                raise ValueError('of the template')
            finally:
                app.seen.append('closed')

        return getattr(Template('a.html'), method)(beds=beds()), HTML

    @app.get('/endless/<method>')
    async def endless(request, method):
        def beds():
            try:
                while True:
                    yield 'bed'
            finally:
                app.seen.append('closed')

        return getattr(Template('a.html'), method)(beds=beds()), HTML

    @app.get('/missing')
    async def missing(request):
        return Template('none.html').generate(), HTML


@pytest.mark.parametrize('enable_async', [False, True])
async def test_handlers_of_all_kinds(enable_async):
    write(a=BEDS)
    Template.initialize(enable_async=enable_async)
    client = TestClient(make_app())
    paths = ['/render-plain', '/render-async', '/generate/3', '/generate-plain/3', '/generate-async/3']
    for path in paths if enable_async else [*paths, '/render']:
        response = await client.get(path)
        assert (response.status_code, response.text) == (200, expected_beds(3)), path
        assert response.headers['Content-Type'] == 'text/html'


@pytest.mark.parametrize('method', [b'generate', b'generate-plain', b'generate-async'])
@pytest.mark.parametrize('enable_async', [False, True])
async def test_streams_over_a_connection(enable_async, method):
    write(a=BEDS)
    Template.initialize(enable_async=enable_async)
    async with serving(make_app()) as server:
        head, data = (await fetch(server, b'/' + method + b'/20000')).split(b'\r\n\r\n', 1)
    assert b'\r\nTransfer-Encoding: chunked' in head
    sizes, body = join_chunks(data)
    assert body.decode() == expected_beds(20000)
    assert sizes[-1] == 0
    assert all(Template.buffer_size <= size < Template.buffer_size + 100 for size in sizes[:-2])


@pytest.mark.parametrize('method', ['generate', 'generate_async'])
@pytest.mark.parametrize('enable_async', [False, True])
async def test_errors_in_the_middle(enable_async, method):
    write(a=BEDS)
    Template.initialize(enable_async=enable_async)
    app = make_app()
    async with serving(app) as server:
        with logged_errors() as errors:
            data = await fetch(server, b'/fails/' + method.encode())
    assert data.startswith(b'HTTP/1.1 200') and b'<li>300</li>' in data
    assert not data.endswith(b'0\r\n\r\n')
    assert [str(error) for error in errors] == ['of the template']
    assert app.seen == ['closed']


async def test_errors_before_the_response():
    with logged_errors() as errors:
        assert (await TestClient(make_app()).get('/missing')).status_code == 500
    assert isinstance(errors[0], jinja2.TemplateNotFound)


@pytest.mark.parametrize('method', ['generate', 'generate_async'])
@pytest.mark.parametrize('enable_async', [False, True, None])
async def test_a_client_that_leaves_closes_the_template(monkeypatch, enable_async, method):
    if enable_async is None:
        monkeypatch.setattr(sys.modules[__name__], 'Template', Utemplate)
        write(a='{% args beds %}\n{% for bed in beds %}\n<li>{{ bed }}</li>{% endfor %}')
    else:
        write(a=BEDS)
        Template.initialize(enable_async=enable_async)
    app = make_app()
    async with serving(app) as server:
        client = await Client.connect(server, b'GET /endless/%s HTTP/1.1\r\nHost: a\r\n\r\n' % method.encode())
        assert await client.read(2000)
        await client.close()
        await until(lambda: app.seen == ['closed'])


def test_jinja_has_no_pieces_left_open():
    write(a='{% for i in beds %}{{ i }}{% endfor %}')
    Template.initialize(enable_async=True)

    async def stop_early():
        pieces = jinja.AsyncPieces(Template('a.html'), (), {'beds': numbers(10 ** 6)})
        async for _ in pieces:
            break
        await pieces.aclose()
        await Template('a.html').generate().aclose()  # never begun

    asyncio.run(stop_early())


# ---------------------------------------------------------------------------------------------------------------
# utemplate
# ---------------------------------------------------------------------------------------------------------------

class Utemplate(utemplate.Template):
    pass


def test_utemplate_tracebacks_show_the_line():
    write(a='{% args x %}\n<p>\n{{ x.missing }}')
    with pytest.raises(AttributeError) as error:
        utemplate.Template('a.html').render(1)
    text = ''.join(traceback.format_exception(error.value))
    assert 'File "a.html (compiled)"' in text and 'yield str(_escape(x.missing))' in text


def test_utemplate_in_threads():
    """Plain handlers run in threads, which may need a template for the first time at once."""
    write(a='{% args x %}\n' + 500 * '{{ x }}\n')
    results = []
    threads = [threading.Thread(target=lambda: results.append(utemplate.Template('a.html').render('<')))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == 8 * [500 * '&lt;\n']


def test_utemplate_knows_the_markup_of_jinja():
    write(a='{% args x %}\n{{ x }}')
    assert utemplate.Template('a.html').render(jinja2.filters.Markup('<b>')) == '<b>'
    assert utemplate.Template('a.html').render(jinja2.filters.Markup('<b>{}').format('<')) == '<b>&lt;'
