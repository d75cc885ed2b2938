"""Templates with utemplate: what they escape, which of them can be found, and how they become responses."""
import os
import sys

from helpers import ON_MICROPYTHON, changed, logged_errors, raises
from live import Client, serving
from microdot import Microdot, utemplate
from microdot.async_pieces import AsyncPieces  # now, as tests change the directory
from microdot.test_client import TestClient
from microdot.utemplate import Loader, Safe, Template, escape

COUNTER = [0]
MANY = 500 if ON_MICROPYTHON else 5000


def remove_tree(path):
    for name in os.listdir(path):
        inner = path + '/' + name
        if os.stat(inner)[0] & 0x4000:
            remove_tree(inner)
        else:
            os.remove(inner)
    os.rmdir(path)


class templates:
    """``with templates({'a.html': 'text'}) as folder:`` a directory of templates, which is set up for ``Template``."""

    def __init__(self, files, loader_class=None, module='templates'):
        COUNTER[0] += 1
        self.root = '%s/microdot-%d-%d' % (os.getenv('TMPDIR') or '/tmp', id(self), COUNTER[0])
        self.folder = self.root + '/' + module
        self.module = module
        self.files = files
        self.loader_class = loader_class
        self.old = os.getcwd()

    def write(self, name, text):
        with open(self.folder + '/' + name, 'wb') as f:
            f.write(text.encode())

    def __enter__(self):
        os.mkdir(self.root)
        os.mkdir(self.folder)
        for name in self.files:
            if '/' in name:
                os.mkdir(self.folder + '/' + name.split('/')[0])
            self.write(name, self.files[name])
        os.chdir(self.root)  # the loaders of the engine import from here
        sys.path.insert(0, self.root)
        Template.initialize(self.module, self.loader_class)
        return self

    def __exit__(self, exc_type, exc, traceback):
        Template.loader = None
        sys.path.remove(self.root)
        for name in list(sys.modules):
            if name.split('.')[0] == self.module:
                del sys.modules[name]
        os.chdir(self.old)
        remove_tree(self.root)


def render(text, *args, **kwargs):
    with templates({'a.html': text}):
        return Template('a.html').render(*args, **kwargs)


class Name:
    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


class Bold(Name):
    def __html__(self):
        return '<b>' + escape(self.text) + '</b>'


# ---------------------------------------------------------------------------------------------------------------
# Escaping
# ---------------------------------------------------------------------------------------------------------------

def test_what_is_inserted_is_escaped():
    script = '<script>alert(1)</script>'
    safe_script = '&lt;script&gt;alert(1)&lt;/script&gt;'
    for value, expected in (
            ('plain', 'plain'), ('', ''), (script, safe_script),
            ('"><img src=x onerror=alert(1)>', '&quot;&gt;&lt;img src=x onerror=alert(1)&gt;'),
            ("' onmouseover='alert(1)", '&#39; onmouseover=&#39;alert(1)'),
            ('a & b', 'a &amp; b'), ('&lt;', '&amp;lt;'), ('&amp;lt;', '&amp;amp;lt;'),
            ('</textarea><svg onload=alert(1)>', '&lt;/textarea&gt;&lt;svg onload=alert(1)&gt;'),
            ('{{ 7 * 7 }} {% if x %}', '{{ 7 * 7 }} {% if x %}'), ('"""', '&quot;&quot;&quot;'), ('\\"', '\\&quot;'),
            ('\xfc\u20ac\U0001f345', '\xfc\u20ac\U0001f345'), ('a\nb\0', 'a\nb\0'),
            (7, '7'), (1.5, '1.5'), (None, 'None'), (True, 'True'), (['<'], '[&#39;&lt;&#39;]'),
            (b'<', 'b&#39;&lt;&#39;'), ({'<': 1}, '{&#39;&lt;&#39;: 1}'),
            (Name(script), safe_script), (Bold('<'), '<b>&lt;</b>'), (Safe(script), script)):
        assert escape(value) == expected, value
        for text, start, end in (('{% args x %}\n{{ x }}', '', ''),
                                 ('{% args x %}\n<a href="{{x}}">', '<a href="', '">'),
                                 ("{% args x %}\n<p class='{{ x }}'>{{ '' }}", "<p class='", "'>"),
                                 ('{% args x %}\n{% for i in [x] %}\n{{ i }}\n{% endfor %}\n', '', '\n'),
                                 ('{% args x %}\n{% set y = x %}\n{% if 1 %}\n{{ y }}{% endif %}\n', '', '')):
            assert render(text, value) == start + expected + end, (text, value)


def test_text_of_the_template_is_kept():
    for text in ('', '\n', 'a', '<b>&amp;</b>\n', '"', '"""', "'''", '\\', '\\n \\" \\x41 \\\\', '{', 'a{b}c}',
                 '{ {x} }\n', '% { %\n', '\xfc\u20ac\U0001f345', 'a\n\n\nb',
                 '}} %}', '{', '<style>a{b:c}</style>', 'ends with "'):
        assert render(text) == text, text


def test_text_beside_tags_is_kept():
    for text, expected in (('a}} {{ 1 }}', 'a}} 1'), ('%} {% if 1 %}a{% endif %}', '%} a'), ('{{ 1 }}{{ 2 }}', '12'),
                           ('@media x {a{b:c}}{{ 1 }}}', '@media x {a{b:c}}1}'),
                           ('a\n\n {% if 1 %}\nb\n{% endif %}\n\nc', 'a\n\n b\n\nc'),
                           ('{% if 1 %}\n\n{% endif %} \n', '\n \n'), ('{{ "}" }}', '}'), ('{{{1: 2}[1]}}', '2')):
        assert render(text) == expected, text


def test_safe():
    text = Safe('<b>')
    assert str(text) == text.__html__() == escape(text) == '<b>'
    assert escape(escape('<')) == '&amp;lt;'


def test_included_templates_are_escaped_once():
    files = {'a.html': '{% args x %}\n{% include "part.html" x %}{% include {{ "part.html" }} x %}',
             'part.html': '{% args y %}\n({% include "deep.html" y, z="<" %})',
             'deep.html': '{% args y, z %}\n<p>{{ y }}{{ z }}'}
    with templates(files):
        assert Template('a.html').render('&') == 2 * '(<p>&amp;&lt;)'
        inner = Template('deep.html').render(1, 2)
        assert Template('deep.html').render(inner, Safe(inner)) == '<p>&lt;p&gt;12<p>12'


def test_a_template_that_includes_itself():
    tree = ('{% args nodes %}\n<ul>{% for name, inner in nodes %}<li>{{ name }}'
            '{% if inner %}{% include "tree.html" inner %}{% endif %}{% endfor %}</ul>')
    with templates({'tree.html': tree}):
        assert Template('tree.html').render([('<', [('b', [])]), ('c', [])]) == \
            '<ul><li>&lt;<ul><li>b</ul><li>c</ul>'


# ---------------------------------------------------------------------------------------------------------------
# The language
# ---------------------------------------------------------------------------------------------------------------

def test_statements():
    text = ('{% args beds, title="none", *more, **others %}\n'
            '{{ title }}:{% for bed in beds %}\n'
            '{% if bed > 1 %}\nmany{% elif bed %}\none{% else %}\nno{% endif %}\n,{% endfor %}\n'
            '{% set n = 2 %}\n{% while n %}\n{{ n }}{% set n -= 1 %}\n{% endwhile %}\n{{ more }}{{ others }}')
    assert render(text, [0, 1, 2]) == 'none:no,one,many,21(){}'
    assert render(text, [], 'a', 3, b=4) == 'a:21(3,){&#39;b&#39;: 4}'


def test_templates_without_text():
    assert render('') == ''
    assert render('{% args x %}', 1) == ''
    assert render('{% set x = 1 %}\n') == ''
    assert render('{% for i in [] %}\na{% endfor %}\n') == ''


def test_mistakes_name_the_template_and_the_line():
    for text, expected in (('a\n{% if x %}\n{% endfor %}\n', 'line 3: {% endfor %}'),
                           ('a\n\n{% for i in x %}\n', 'endfor is missing'), ('{% if x %}a', 'endif is missing'),
                           ('{% else %}', 'line 1: {% else %}'), ('{% nonsense %}', 'line 1: {% nonsense %}'),
                           ('{% %}', 'line 1: {% %}'), ('a\n{{ x', 'line 2: {{ x'), ('a {% if x', 'line 1: a {% if x'),
                           ('a\n{% include %}', 'line 2: {% include %}'),
                           ('{% include "a %}', 'line 1: {% include "a %}'),
                           ('{% include {{x} %}', 'line 1: {% include {{x} %}'),
                           ('a\n{% args x %}\n', 'line 2: {% args x %}')):
        with raises(SyntaxError) as error:
            render(text)
        assert str(error.value).strip() == 'a.html: ' + expected, text


def test_expressions_that_are_not_python():
    for text in '{{ 1 + }}', '{% for in x %}\n{% endfor %}', '{{ }}', '{{ 1 }}{% set a b %}':
        with raises((SyntaxError, TypeError)):
            render(text)


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------

def test_missing_templates():
    with templates({'a.html': '{% include "b.html" %}', 'c.html': 'x{% include {{ "b.html" }} %}'}):
        for name in 'b.html', 'a.html', 'templates', 'a_html', 'os', 'sys':
            with raises(OSError) as error:
                Template(name)
            assert error.value.args[0] == 2, name
        template = Template('c.html')
        with raises(OSError):
            template.render()
    with templates({}) as folder:
        Template.initialize(folder.folder + '/none')
        with raises(OSError):
            Template('a.html')


def test_names_do_not_leave_the_directory():
    files = {'a.html': 'a', 'sub/b.html': 'b{% include "a.html" %}', 'c.html': '{% args x %}\n{% include {{ x }} %}'}
    with templates(files) as folder:
        with open(folder.root + '/secret.html', 'w') as f:
            f.write('secret')
        assert Template('sub/b.html').render() == 'ba'
        assert Template('c.html').render('sub/b.html') == 'ba'
        for name in ('../secret.html', 'sub/../../secret.html', 'sub/../a.html', '/secret.html', '//secret.html',
                     folder.root + '/secret.html', './a.html', 'sub//b.html', 'sub/', '', '.', '..', '../',
                     '..\\secret.html', 'sub\\b.html', 'C:secret.html', 'a.html\0', '\0', 'a.html/', 'a.html:stream'):
            with raises(OSError) as error:
                Template(name)
            assert error.value.args[0] == 2, name
            with raises(OSError) as error:
                Template('c.html').render(name)
            assert error.value.args[0] == 2, name


def test_no_files_are_written():
    with templates({'a.html': 'a{% include "sub/b.html" %}', 'sub/b.html': 'b'}) as folder:
        assert Template('a.html').render() == 'ab'
        assert sorted(os.listdir(folder.folder)) == ['a.html', 'sub']
        assert os.listdir(folder.folder + '/sub') == ['b.html']


def test_old_results_of_the_engine_are_not_used():
    with templates({'a.html': '{{ "<" }}', 'a_html.py': 'def render():\n yield "<script>"\n'}):
        assert Template('a.html').render() == '&lt;'


def test_changed_templates_are_compiled_again():
    with templates({'a.html': 'old {% include "b.html" %}', 'b.html': 'part'}) as folder:
        assert Template('a.html').render() == 'old part'
        function = Template('a.html').template
        assert Template('a.html').template is function
        folder.write('b.html', 'another part')
        assert Template('a.html').render() == 'old another part'
        folder.write('a.html', 'newer')
        assert Template('a.html').render() == 'newer'
        os.remove(folder.folder + '/a.html')
        with raises(OSError):
            Template('a.html')


def test_absolute_directories():
    with templates({'a.html': 'a'}) as folder:
        os.chdir('/')
        Template.initialize(folder.folder)
        assert Template('a.html').render() == 'a'


def test_the_directory_is_called_templates():
    with templates({'a.html': 'a'}):
        Template.loader = None
        assert Template('a.html').render() == 'a'
        Template.loader = None
        Template.initialize()
        assert Template('a.html').render() == 'a'


# ---------------------------------------------------------------------------------------------------------------
# The engine and its loaders
# ---------------------------------------------------------------------------------------------------------------

def test_the_loaders_of_the_engine_do_not_escape():
    from utemplate import compiled, recompile
    with templates({'a.html': '{% args x %}\n{{ x }}'}, recompile.Loader, 'recompiled') as folder:
        assert Template('a.html').render('<b>') == '<b>'
        assert 'a_html.py' in os.listdir(folder.folder)
    with templates({'a_html.py': 'def render(x):\n yield x\n'}, compiled.Loader, 'compiled_before'):
        assert list(Template('a.html').generate('<b>')) == ['<b>']


def test_templates_that_are_compiled_beforehand():
    from utemplate import compiled
    files = {'a.html': '{% args x %}\n{{ x }}{% include "b.html" x %}', 'b.html': '{% args x %}\n<p>{{ x }}'}
    with templates(files, None, 'beforehand') as folder:
        loader = Loader(None, 'beforehand')
        for name in files:
            folder.write(name.replace('.', '_') + '.py', loader.get_source(name))
        for name in files:
            os.remove(folder.folder + '/' + name)
        Template.initialize('beforehand', compiled.Loader)
        assert Template('a.html').render('<') == '&lt;<p>&lt;'


def test_without_the_engine():
    names = [name for name in sys.modules if name.split('.')[0] == 'utemplate' or name == 'microdot.utemplate_loader']
    modules = [(name, sys.modules.pop(name)) for name in names]
    path = sys.path[:]
    sys.path[:] = [folder for folder in path if 'engines' not in folder]
    try:
        for use in (lambda: Template.initialize('templates'), lambda: Template('a.html'), lambda: utemplate.Loader):
            with raises(ImportError) as error:
                use()
            assert 'needs utemplate' in str(error.value) and 'archive' in str(error.value)
    finally:
        sys.path[:] = path
        for name, module in modules:
            sys.modules[name] = module


# ---------------------------------------------------------------------------------------------------------------
# Responses
# ---------------------------------------------------------------------------------------------------------------

HEAD = {'Content-Type': 'text/html'}
BEDS = '{% args beds %}\n<ul>\n{% for bed in beds %}\n<li>{{ bed }}</li>\n{% endfor %}\n</ul>\n'
FILES = {'beds.html': BEDS}


def expected_beds(count):
    return '<ul>\n' + ''.join(['<li>%d</li>\n' % i for i in range(count)]) + '</ul>\n'


async def test_pieces():
    n = 200 if ON_MICROPYTHON else 1000
    with templates(FILES), changed(Template, buffer_size=100):
        template = Template('beds.html')
        pieces = list(template.generate(range(n)))
        assert ''.join(pieces) == template.render(range(n)) == expected_beds(n)
        assert all([100 <= len(piece) < 200 for piece in pieces[:-1]])
        assert await template.render_async(range(9)) == expected_beds(9)
        assert isinstance(template.generate_async(range(9)), AsyncPieces)
        async_pieces = []
        async for piece in template.generate_async(range(n)):
            async_pieces.append(piece)
        assert async_pieces == pieces
        Template.buffer_size = 0
        assert len(list(template.generate(range(n)))) > 2 * n
        Template.buffer_size = 10 ** 6
        assert list(template.generate(range(n))) == [expected_beds(n)]


def make_app():
    app = Microdot()
    app.seen = []

    @app.get('/render')
    async def render_beds(request):
        return Template('beds.html').render(range(3)), HEAD

    @app.get('/render-plain')
    def render_in_plain_handler(request):
        return Template('beds.html').render(range(3)), HEAD

    @app.get('/render-async')
    async def render_async(request):
        return await Template('beds.html').render_async(range(3)), HEAD

    @app.get('/generate')
    async def generate(request):
        return Template('beds.html').generate(range(3)), HEAD

    @app.get('/generate-plain')
    def generate_in_plain_handler(request):
        return Template('beds.html').generate(range(3)), HEAD

    @app.get('/generate-async')
    async def generate_async(request):
        return Template('beds.html').generate_async(range(3)), HEAD

    @app.get('/many')
    async def many(request):
        return Template('beds.html').generate(range(MANY)), HEAD

    @app.get('/fails/<method>')
    async def fails(request, method):
        def beds():
            try:
                yield from range(500)
                raise ValueError('of the template')
            finally:
                app.seen.append('closed')

        return getattr(Template('beds.html'), method)(beds()), HEAD

    @app.get('/missing')
    async def missing(request):
        return Template('none.html').generate(), HEAD

    return app


async def test_handlers_of_all_kinds():
    with templates(FILES):
        client = TestClient(make_app())
        for path in '/render', '/render-plain', '/render-async', '/generate', '/generate-plain', '/generate-async':
            response = await client.get(path)
            assert response.status_code == 200, path
            assert response.headers['Content-Type'].startswith('text/html'), path
            assert response.text == expected_beds(3), path


async def fetch(server, path):
    """Return all that the server sends until it closes the connection."""
    client = await Client.connect(server, b'GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' % path)
    data = await client.read()
    await client.close()
    return data


def join_chunks(data):
    """Return the sizes of the chunks, and what they hold."""
    sizes = []
    body = b''
    while data:
        size, data = data.split(b'\r\n', 1)
        sizes.append(int(size, 16))
        body += data[:sizes[-1]]
        data = data[sizes[-1] + 2:]
    return sizes, body


async def test_streams_over_a_connection():
    with templates(FILES):
        async with serving(make_app()) as server:
            head, data = (await fetch(server, b'/many')).split(b'\r\n\r\n', 1)
            assert b'\r\nTransfer-Encoding: chunked' in head
            sizes, body = join_chunks(data)
            assert body.decode() == expected_beds(MANY)
            assert sizes[-1] == 0
            assert all([Template.buffer_size <= size < Template.buffer_size + 100 for size in sizes[:-2]])


async def test_errors_in_the_middle():
    with templates(FILES), changed(Template, buffer_size=512):
        app = make_app()
        for method in b'generate', b'generate_async':
            async with serving(app) as server:
                with logged_errors() as errors:
                    data = await fetch(server, b'/fails/' + method)
                assert data.startswith(b'HTTP/1.1 200') and b'<li>300</li>' in data
                assert not data.endswith(b'0\r\n\r\n')
                assert [str(error) for error in errors] == ['of the template']
                assert app.seen == ['closed']
                app.seen.clear()


async def test_errors_before_the_response():
    with templates(FILES), logged_errors() as errors:
        assert (await TestClient(make_app()).get('/missing')).status_code == 500
        assert isinstance(errors[0], OSError)
