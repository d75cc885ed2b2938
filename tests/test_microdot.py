"""The application: URL patterns, routes, methods, handlers, hooks, errors and sub-applications."""
from helpers import ON_MICROPYTHON, FakeWriter, changed, create_request, exchange, get_text, raises
from microdot import AsyncBytesIO, Microdot, Request, Response, URLPattern, abort
from microdot.microdot import NoCaseDict
from microdot.test_client import TestClient

# ---------------------------------------------------------------------------------------------------------------
# URL patterns
# ---------------------------------------------------------------------------------------------------------------


def check_matches(url_pattern, *cases):
    """Check pairs of a path and the arguments that it must give, with patterns that are new and that are in use."""
    used = URLPattern(url_pattern)
    for path, args in cases:
        assert URLPattern(url_pattern).match(path) == args, path
        assert used.match(path) == args, path


def test_static_pattern():
    check_matches('/users/active', ('/users/active', {}), ('/users', None), ('/users/active/', None),
                  ('/users/activex', None), ('/', None), ('/Users/active', None))


def test_root_pattern():
    check_matches('/', ('/', {}), ('/x', None), ('//', None))


def test_component_without_a_type_is_a_string():
    check_matches('/users/<id>', ('/users/susan', {'id': 'susan'}), ('/users/5', {'id': '5'}), ('/users/', None),
                  ('/users', None), ('/users/a/b', None), ('/users/a/', None), ('/x/users/a', None))


def test_string_component():
    check_matches('/users/<string:id>', ('/users/susan', {'id': 'susan'}), ('/users/a-b.c~d', {'id': 'a-b.c~d'}),
                  ('/users/', None), ('/users/a/b', None))


def test_int_component():
    check_matches('/users/<int:id>', ('/users/123', {'id': 123}), ('/users/0', {'id': 0}), ('/users/007', {'id': 7}),
                  ('/users/', None), ('/users/a', None), ('/users/1a', None), ('/users/1.5', None),
                  ('/users/1/2', None))


def test_int_component_can_be_negative():
    check_matches('/<int:n>', ('/-5', {'n': -5}), ('/-', None), ('/--5', None), ('/5-', None), ('/+5', None))


def test_int_component_is_ascii_digits_only():
    # int() takes all of these
    check_matches('/<int:n>', ('/1_0', None), ('/%2012', None), ('/12%20', None), ('/%D9%A3', None), ('/5%0A', None))


def test_int_component_of_many_digits():
    check_matches('/<int:n>', ('/' + '9' * 1000, {'n': int('9' * 1000)}))


def test_path_component_takes_one_or_more_segments():
    check_matches('/files/<path:name>', ('/files/a', {'name': 'a'}), ('/files/a/b/c.txt', {'name': 'a/b/c.txt'}),
                  ('/files/a/', {'name': 'a/'}), ('/files/', None), ('/files', None), ('/file/a', None))


def test_path_component_in_the_middle():
    check_matches('/files/<path:name>/edit', ('/files/a/edit', {'name': 'a'}), ('/files/a/b/edit', {'name': 'a/b'}),
                  ('/files/edit', None), ('/files//edit', None), ('/files/a/b', None))


def test_re_component():
    check_matches('/users/<re:[a-zA-Z][a-zA-Z0-9]*:name>', ('/users/s', {'name': 's'}),
                  ('/users/susan5', {'name': 'susan5'}), ('/users/5susan', None), ('/users/su-san', None),
                  ('/users/', None))


def test_re_component_with_slashes():
    check_matches('/on/<re:[0-9]+/[0-9]+:date>', ('/on/2024/12', {'date': '2024/12'}), ('/on/2024', None),
                  ('/on/2024/12/1', None))


def test_re_component_with_a_colon():
    check_matches('/at/<re:[0-9]+:[0-9]+:time>', ('/at/12:30', {'time': '12:30'}), ('/at/1230', None))


def test_re_component_with_alternatives():
    check_matches('/<re:one|two:n>/x', ('/one/x', {'n': 'one'}), ('/two/x', {'n': 'two'}), ('/three/x', None),
                  ('/one', None))


def test_re_component_with_groups():
    check_matches('/<re:(a|b)+(c)?:x>/<y>', ('/abac/z', {'x': 'abac', 'y': 'z'}), ('/ab/z', {'x': 'ab', 'y': 'z'}),
                  ('/c/z', None))


def test_re_component_with_groups_that_are_not_captured():
    check_matches('/<re:(?:ab)+:x>/<y>', ('/abab/z', {'x': 'abab', 'y': 'z'}), ('/aba/z', None))


def test_re_component_with_escaped_parentheses():
    check_matches(r'/<re:\(a\):x>/<y>', ('/(a)/z', {'x': '(a)', 'y': 'z'}), ('/a/z', None))


def test_re_component_with_a_parenthesis_in_a_character_class():
    check_matches('/<re:[(]a:x>/<y>', ('/(a/z', {'x': '(a', 'y': 'z'}), ('/a/z', None))


def test_re_component_may_be_empty():
    check_matches('/x<re:[0-9]*:n>', ('/x', {'n': ''}), ('/x12', {'n': '12'}), ('/xy', None))


def test_several_segments():
    check_matches('/<a>/and/<int:b>/<path:c>', ('/x/and/5/p/q', {'a': 'x', 'b': 5, 'c': 'p/q'}),
                  ('/x/and/y/p', None), ('/x/or/5/p', None))


def test_several_components_in_one_segment():
    check_matches('/<int:x>,<int:y>', ('/5,-6', {'x': 5, 'y': -6}), ('/5', None), ('/5,', None))
    check_matches('/<name>.<ext>', ('/a.txt', {'name': 'a', 'ext': 'txt'}), ('/a', None), ('/.txt', None))


def test_component_with_text_around_it():
    check_matches('/user-<id>.json', ('/user-5.json', {'id': '5'}), ('/user-.json', None), ('/user-5.xml', None),
                  ('/user-5xjson', None))


def test_component_first_in_the_path():
    check_matches('/<lang>/about', ('/en/about', {'lang': 'en'}), ('/about', None), ('//about', None))


def test_pattern_without_a_leading_slash():
    check_matches('a', ('/a', {}), ('/b', None))
    check_matches('<x>', ('/a', {'x': 'a'}))
    check_matches('', ('/', {}), ('/a', None))


def test_static_text_is_literal():
    check_matches('/a.b', ('/a.b', {}), ('/axb', None))
    check_matches('/a.b/<x>', ('/a.b/1', {'x': '1'}), ('/axb/1', None))


def test_static_text_with_every_character_that_regular_expressions_know():
    for char in '.+*()[]{}|^$\\':
        check_matches('/a%sb/<x>' % char, ('/a%sb/1' % char, {'x': '1'}), ('/ab/1', None), ('/aab/1', None))


def test_pattern_matches_the_whole_path():
    # "$" of regular expressions would let a line feed pass
    check_matches('/<re:[a-z]+:x>', ('/abc', {'x': 'abc'}), ('/abc%0A', None), ('/abc%0Ad', None))
    check_matches('/<x>/end', ('/a/end', {'x': 'a'}), ('/a/end%0A', None), ('/a/end/', None))
    check_matches('/<x>', ('/a%0Ab', {'x': 'a\nb'}))


def test_trailing_slash_is_significant():
    check_matches('/a', ('/a/', None))
    check_matches('/a/', ('/a', None), ('/a/', {}))
    check_matches('/<x>', ('/a/', None))
    check_matches('/<x>/', ('/a', None), ('/a/', {'x': 'a'}))


def test_arguments_are_percent_decoded():
    check_matches('/<x>', ('/a%20b', {'x': 'a b'}), ('/%61%62', {'x': 'ab'}), ('/a%25b', {'x': 'a%b'}),
                  ('/a%3Fb', {'x': 'a?b'}))
    check_matches('/<path:x>', ('/a%20b/c', {'x': 'a b/c'}))
    check_matches('/<int:x>', ('/%31%32', {'x': 12}))


def test_arguments_are_utf8():
    check_matches('/<x>', ('/J%C3%BCrgen', {'x': 'Jürgen'}), ('/%F0%9F%98%80', {'x': '😀'}))


def test_arguments_are_decoded_once():
    check_matches('/<x>', ('/%2541', {'x': '%41'}), ('/%252F', {'x': '%2F'}))


def test_plus_is_no_space_in_a_path():
    check_matches('/<x>', ('/a+b', {'x': 'a+b'}))


def test_broken_escapes_stay():
    check_matches('/<x>', ('/100%', {'x': '100%'}), ('/%zz', {'x': '%zz'}), ('/%4', {'x': '%4'}))


def test_encoded_slash_does_not_split_a_segment():
    check_matches('/<x>', ('/a%2Fb', {'x': 'a/b'}), ('/a%2fb', {'x': 'a/b'}))
    check_matches('/<x>/<y>', ('/a%2Fb/c', {'x': 'a/b', 'y': 'c'}), ('/a%2Fb', None))
    check_matches('/a/<y>', ('/a%2Fb', None))
    check_matches('/a/b', ('/a%2Fb', None))


def test_encoded_slash_in_a_path_component():
    check_matches('/<path:x>', ('/a%2Fb/c', {'x': 'a/b/c'}))


def test_encoded_nul_is_no_slash():
    args = URLPattern('/<x>').match('/a%00b')
    assert args is None or args == {'x': 'a\0b'}
    assert URLPattern('/a/<x>').match('/a%00b') is None


def test_static_text_compares_decoded():
    check_matches('/café', ('/caf%C3%A9', {}), ('/caf%c3%a9', {}))
    check_matches('/café/<x>', ('/caf%C3%A9/1', {'x': '1'}))
    check_matches('/abc', ('/%61bc', {}))
    check_matches('/with space', ('/with%20space', {}))


def test_custom_type_without_pattern_and_parser():
    URLPattern.register_type('anything')
    check_matches('/<anything:x>', ('/a.b', {'x': 'a.b'}), ('/a/b', None), ('/', None))


def test_custom_type_with_a_parser():
    URLPattern.register_type('hex', parser=lambda value: int(value, 16))
    check_matches('/<hex:x>', ('/ff', {'x': 255}), ('/10', {'x': 16}))


def test_custom_type_with_a_pattern():
    URLPattern.register_type('letters', pattern='[a-z]+')
    check_matches('/<letters:x>', ('/abc', {'x': 'abc'}), ('/ABC', None), ('/ab1', None), ('/', None))


def test_custom_type_with_pattern_and_parser():
    URLPattern.register_type('hexnum', pattern='[0-9a-fA-F]+', parser=lambda value: int(value, 16))
    check_matches('/<hexnum:x>/<y>', ('/fF/z', {'x': 255, 'y': 'z'}), ('/fg/z', None))


def test_custom_type_with_groups():
    URLPattern.register_type('pairs', pattern='(ab)+')
    check_matches('/<pairs:x>/<y>', ('/abab/c', {'x': 'abab', 'y': 'c'}), ('/aba/c', None))


def test_parser_that_returns_none_means_no_match():
    URLPattern.register_type('even', pattern='[0-9]+', parser=lambda value: None if int(value) % 2 else int(value))
    check_matches('/<even:x>', ('/4', {'x': 4}), ('/5', None))


def test_parser_may_return_false_values():
    URLPattern.register_type('zero', parser=lambda value: 0)
    check_matches('/<zero:x>', ('/a', {'x': 0}))


def test_parser_gets_the_decoded_text():
    URLPattern.register_type('listed', parser=lambda value: [value])
    check_matches('/<listed:x>', ('/a%20b%2Fc', {'x': ['a b/c']}))


def test_custom_type_can_be_registered_after_the_pattern():
    pattern = URLPattern('/<later:x>')
    URLPattern.register_type('later', parser=lambda value: value.upper())
    assert pattern.match('/abc') == {'x': 'ABC'}


def test_compile_refuses_unknown_types():
    pattern = URLPattern('/users/<unknown:x>')
    with raises(ValueError):
        pattern.compile()


def test_compile_refuses_a_component_that_is_not_closed():
    for url_pattern in ('/users/<int:x', '/users/<x', '/users/<', '/users/<x>/<y'):
        with raises(ValueError):
            URLPattern(url_pattern).compile()


def test_compile_before_match():
    pattern = URLPattern('/<int:x>/<y>')
    pattern.compile()
    assert pattern.match('/1/a') == {'x': 1, 'y': 'a'}


# ---------------------------------------------------------------------------------------------------------------
# Routes
# ---------------------------------------------------------------------------------------------------------------

def say(text):
    async def handler(request, **args):
        return text
    return handler


async def test_hello():
    app = Microdot()

    @app.route('/')
    async def index(request):
        return 'Hello, world!'

    assert await get_text(app, '/') == 'Hello, world!'


async def test_arguments_arrive_as_keyword_arguments():
    app = Microdot()

    @app.get('/<a>/<int:b>')
    async def index(request, b, a):
        return repr([a, b])

    assert await get_text(app, '/x/5') == "['x', 5]"


async def test_argument_with_an_encoded_slash_and_utf8():
    app = Microdot()

    @app.get('/users/<name>')
    async def index(request, name):
        return name

    assert await get_text(app, '/users/a%2Fb') == 'a/b'
    assert await get_text(app, '/users/%C3%BC') == 'ü'


async def test_encoded_slash_does_not_find_another_route():
    app = Microdot()
    app.get('/a/b')(say('static'))
    app.get('/a/<x>')(say('dynamic'))
    response = await TestClient(app).get('/a%2Fb')
    assert response.status_code == 404


async def test_encoded_nul_is_no_server_error():
    app = Microdot()
    app.get('/<x>')(say('dynamic'))
    response = await TestClient(app).get('/a%00b')
    assert response.status_code < 500


async def test_bytes_that_are_not_utf8_are_no_server_error():
    app = Microdot()
    app.get('/<x>')(say('dynamic'))
    assert await get_text(app, '/%ff%fe') == 'dynamic'


async def test_static_route_by_its_decoded_path():
    app = Microdot()
    app.get('/café')(say('coffee'))
    assert await get_text(app, '/caf%C3%A9') == 'coffee'
    assert await get_text(app, '/%63af%C3%A9') == 'coffee'


async def test_query_string_is_no_part_of_the_path():
    app = Microdot()
    app.get('/a')(say('static'))
    app.get('/b/<x>')(say('dynamic'))
    assert await get_text(app, '/a?x=/y') == 'static'
    assert await get_text(app, '/b/1?x=2/3') == 'dynamic'


async def test_trailing_slash_is_another_path():
    app = Microdot()
    app.get('/a')(say('a'))
    app.get('/b/')(say('b'))
    app.get('/c/<x>')(say('c'))
    client = TestClient(app)
    for path, status_code in (('/a', 200), ('/a/', 404), ('/b', 404), ('/b/', 200), ('/c/1', 200), ('/c/1/', 404)):
        assert (await client.get(path)).status_code == status_code, path


async def test_first_route_wins_if_both_are_static():
    app = Microdot()
    app.get('/a')(say('first'))
    app.get('/a')(say('second'))
    assert await get_text(app, '/a') == 'first'


async def test_first_route_wins_if_both_are_dynamic():
    app = Microdot()
    app.get('/a/<x>')(say('first'))
    app.get('/<x>/<y>')(say('second'))
    app.get('/a/<y>')(say('third'))
    assert await get_text(app, '/a/b') == 'first'
    assert await get_text(app, '/b/a') == 'second'


async def test_general_route_wins_if_it_was_first():
    app = Microdot()
    app.get('/<x>/<y>')(say('general'))
    app.get('/a/<y>')(say('special'))
    assert await get_text(app, '/a/b') == 'general'


async def test_dynamic_route_wins_over_a_later_static_one():
    app = Microdot()
    app.get('/<x>')(say('dynamic'))
    app.get('/a')(say('static'))
    assert await get_text(app, '/a') == 'dynamic'


async def test_static_route_wins_over_a_later_dynamic_one():
    app = Microdot()
    app.get('/a')(say('static'))
    app.get('/<x>')(say('dynamic'))
    assert await get_text(app, '/a') == 'static'
    assert await get_text(app, '/b') == 'dynamic'


async def test_route_that_does_not_match_leaves_the_path_to_the_next():
    app = Microdot()
    app.get('/<int:x>')(say('int'))
    app.get('/<re:[a-z]+:x>')(say('re'))
    app.get('/<path:x>')(say('path'))
    assert await get_text(app, '/5') == 'int'
    assert await get_text(app, '/five') == 're'
    assert await get_text(app, '/FIVE') == 'path'
    assert await get_text(app, '/5/6') == 'path'


async def test_parser_that_returns_none_leaves_the_path_to_the_next():
    URLPattern.register_type('never', parser=lambda value: None)
    app = Microdot()
    app.get('/<never:x>')(say('never'))
    client = TestClient(app)
    assert (await client.get('/a')).status_code == 404
    app.get('/<x>')(say('string'))
    assert await get_text(app, '/a') == 'string'


async def test_route_can_be_added_after_requests():
    app = Microdot()
    app.get('/a')(say('a'))
    assert await get_text(app, '/a') == 'a'
    app.get('/b')(say('b'))
    app.get('/c/<x>')(say('c'))
    assert await get_text(app, '/b') == 'b'
    assert await get_text(app, '/c/1') == 'c'


async def test_thousands_of_routes_still_match_right():
    app = Microdot()

    async def handler(request, x=None):
        return '%s %s' % (request.path, x)

    count = 15 if ON_MICROPYTHON else 1000
    for i in range(count):
        app.get('/static/%d' % i)(handler)
        app.get('/dynamic%d/<x>' % i)(handler)
    app.get('/<int:x>')(handler)
    for i in (0, 1, count // 2, count - 2, count - 1):
        assert await get_text(app, '/static/%d' % i) == '/static/%d None' % i
        assert await get_text(app, '/dynamic%d/%d' % (i, i)) == '/dynamic%d/%d %d' % (i, i, i)
    assert await get_text(app, '/77') == '/77 77'
    client = TestClient(app)
    for path in ('/static/1000', '/static', '/dynamic1000/5', '/dynamic5', '/dynamic5/'):
        assert (await client.get(path)).status_code == 404, path


# ---------------------------------------------------------------------------------------------------------------
# Methods
# ---------------------------------------------------------------------------------------------------------------

def allowed_methods(response):
    """Return the sorted methods of an ``Allow`` header; one that is there twice stays twice."""
    return sorted([name.strip() for name in response.headers['Allow'].split(',')])


async def test_route_is_for_get_only():
    app = Microdot()
    app.route('/')(say('get'))
    client = TestClient(app)
    assert (await client.get('/')).text == 'get'
    assert (await client.post('/')).status_code == 405


async def test_route_with_methods():
    app = Microdot()

    @app.route('/', methods=['GET', 'POST'])
    async def index(request):
        return request.method

    client = TestClient(app)
    assert (await client.get('/')).text == 'GET'
    assert (await client.post('/')).text == 'POST'
    assert (await client.put('/')).status_code == 405


async def test_methods_are_upper_cased():
    app = Microdot()
    methods = ['post', 'Put']
    app.route('/', methods)(say('ok'))
    client = TestClient(app)
    assert (await client.post('/')).text == 'ok'
    assert (await client.put('/')).text == 'ok'
    assert methods == ['post', 'Put']


async def test_method_of_a_request_is_case_sensitive():
    app = Microdot()
    app.get('/')(say('ok'))
    assert (await TestClient(app).request('get', '/')).status_code == 405


async def test_methods_may_be_a_tuple():
    app = Microdot()
    app.route('/', methods=('GET', 'POST'))(say('ok'))
    assert (await TestClient(app).post('/')).text == 'ok'


async def test_shortcuts():
    app = Microdot()
    app.get('/')(say('get'))
    app.post('/')(say('post'))
    app.put('/')(say('put'))
    app.patch('/')(say('patch'))
    app.delete('/')(say('delete'))
    app.query('/')(say('query'))
    client = TestClient(app)
    assert (await client.get('/')).text == 'get'
    assert (await client.post('/')).text == 'post'
    assert (await client.put('/')).text == 'put'
    assert (await client.patch('/')).text == 'patch'
    assert (await client.delete('/')).text == 'delete'
    assert (await client.query('/')).text == 'query'


async def test_shortcuts_take_dynamic_paths():
    app = Microdot()
    for decorator in (app.post, app.put, app.patch, app.delete, app.query):
        decorator('/<x>')(say('ok'))
    client = TestClient(app)
    for method in ('POST', 'PUT', 'PATCH', 'DELETE', 'QUERY'):
        assert (await client.request(method, '/1')).text == 'ok', method
    assert (await client.get('/1')).status_code == 405


async def test_query_reads_its_body():
    app = Microdot()

    @app.query('/')
    async def search(request):
        return request.body

    assert (await TestClient(app).query('/', body='words')).text == 'words'


async def test_method_of_ones_own():
    app = Microdot()
    app.route('/', methods=['PURGE'])(say('purged'))
    assert (await TestClient(app).request('PURGE', '/')).text == 'purged'


async def test_first_route_with_the_path_and_the_method_wins():
    app = Microdot()
    app.post('/a')(say('post'))
    app.get('/<x>')(say('get'))
    client = TestClient(app)
    assert (await client.get('/a')).text == 'get'
    assert (await client.post('/a')).text == 'post'


async def test_head_is_answered_by_the_get_route():
    app = Microdot()
    methods = []

    @app.get('/<x>')
    async def index(request, x):
        methods.append(request.method)
        return 'Hello', {'X-Test': x}

    client = TestClient(app)
    get = await client.get('/a')
    head = await client.request('HEAD', '/a')
    assert methods == ['GET', 'HEAD']
    assert head.status_code == 200
    assert head.body == b''
    assert head.headers['X-Test'] == 'a'
    assert head.headers['Content-Length'] == get.headers['Content-Length'] == '5'
    assert head.headers['Content-Type'] == get.headers['Content-Type']


async def test_head_has_nothing_after_the_header():
    app = Microdot()
    app.get('/')(say('Hello'))
    data = await exchange(app, b'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    assert data.endswith(b'\r\n\r\n')
    assert b'Hello' not in data


async def test_head_of_a_post_route_is_not_allowed():
    app = Microdot()
    app.post('/')(say('post'))
    response = await TestClient(app).request('HEAD', '/')
    assert response.status_code == 405
    assert 'HEAD' not in allowed_methods(response)


async def test_head_of_an_unknown_path():
    response = await TestClient(Microdot()).request('HEAD', '/')
    assert response.status_code == 404
    assert response.body == b''


async def test_head_route_of_ones_own():
    app = Microdot()
    app.route('/', methods=['HEAD'])(say('ok'))
    client = TestClient(app)
    assert (await client.request('HEAD', '/')).status_code == 200
    assert (await client.get('/')).status_code == 405


async def test_options_lists_the_methods_without_duplicates():
    app = Microdot()
    app.get('/a')(say('get'))
    app.get('/<x>')(say('get again'))
    app.route('/a', methods=['POST', 'GET'])(say('post'))
    app.delete('/b')(say('another path'))
    response = await TestClient(app).request('OPTIONS', '/a')
    assert response.status_code in (200, 204)
    assert response.body == b''
    assert allowed_methods(response) == ['GET', 'HEAD', 'OPTIONS', 'POST']


async def test_options_without_a_get_route():
    app = Microdot()
    app.put('/')(say('put'))
    assert allowed_methods(await TestClient(app).request('OPTIONS', '/')) == ['OPTIONS', 'PUT']


async def test_options_of_an_unknown_path():
    app = Microdot()
    app.get('/a')(say('get'))
    response = await TestClient(app).request('OPTIONS', '/b')
    assert response.status_code == 404
    assert response.text == 'Not found'


async def test_options_of_the_server():
    app = Microdot()
    app.get('/a')(say('get'))
    app.post('/<x>')(say('post'))
    response = await TestClient(app).request('OPTIONS', '*')
    assert response.status_code in (200, 204)
    assert allowed_methods(response) == ['GET', 'HEAD', 'OPTIONS', 'POST']


async def test_options_route_of_ones_own():
    app = Microdot()
    app.get('/')(say('get'))
    app.route('/', methods=['OPTIONS'])(say('options'))
    response = await TestClient(app).request('OPTIONS', '/')
    assert response.text == 'options'


async def test_options_handler_can_be_replaced():
    app = Microdot()
    app.get('/a')(say('get'))
    original = app.options_handler

    def options_handler(request):
        headers = original(request)
        headers['X-Path'] = request.path
        return headers

    app.options_handler = options_handler
    response = await TestClient(app).request('OPTIONS', '/a')
    assert response.headers['X-Path'] == '/a'
    assert allowed_methods(response) == ['GET', 'HEAD', 'OPTIONS']
    assert (await TestClient(app).request('OPTIONS', '/b')).status_code == 404


async def test_method_not_allowed():
    app = Microdot()
    app.get('/a')(say('get'))
    app.put('/<x>')(say('put'))
    response = await TestClient(app).post('/a')
    assert response.status_code == 405
    assert response.text == 'Method not allowed'
    assert [m for m in allowed_methods(response) if m != 'OPTIONS'] == ['GET', 'HEAD', 'PUT']


async def test_method_not_allowed_has_no_duplicates_in_allow():
    app = Microdot()
    app.get('/a')(say('get'))
    app.get('/a')(say('get again'))
    methods = allowed_methods(await TestClient(app).post('/a'))
    assert len(methods) == len(set(methods))


# ---------------------------------------------------------------------------------------------------------------
# Decorators and kinds of handlers
# ---------------------------------------------------------------------------------------------------------------

def test_decorators_return_the_function():
    app = Microdot()

    async def f(request):
        pass

    for decorator in (app.route('/'), app.get('/'), app.post('/'), app.put('/'), app.patch('/'), app.delete('/'),
                      app.query('/'), app.before_request, app.after_request, app.after_error_request,
                      app.errorhandler(404), app.errorhandler(ValueError)):
        assert decorator(f) is f


def test_decorators_return_the_def_function():
    app = Microdot()

    def f(request):
        pass

    for decorator in (app.route('/'), app.before_request, app.after_request, app.after_error_request,
                      app.errorhandler(404)):
        assert decorator(f) is f


async def test_decorators_stack():
    app = Microdot()

    @app.get('/a')
    @app.post('/b')
    @app.route('/c/<x>', methods=['GET', 'PUT'])
    async def index(request, x=None):
        return '%s %s' % (request.path, x)

    client = TestClient(app)
    assert (await client.get('/a')).text == '/a None'
    assert (await client.post('/b')).text == '/b None'
    assert (await client.put('/c/1')).text == '/c/1 1'


async def test_def_handler():
    app = Microdot()

    @app.get('/<x>')
    def index(request, x):
        return 'def ' + x

    assert await get_text(app, '/1') == 'def 1'


async def test_lambda_handler():
    app = Microdot()
    app.get('/<x>')(lambda request, x: 'lambda ' + x)
    assert await get_text(app, '/1') == 'lambda 1'


class Handlers:
    def plain(self, request, x):
        return 'plain method ' + x

    async def coroutine(self, request, x):
        return 'coroutine method ' + x


async def test_bound_methods_are_handlers():
    app = Microdot()
    handlers = Handlers()
    app.get('/a/<x>')(handlers.plain)
    app.get('/b/<x>')(handlers.coroutine)
    assert await get_text(app, '/a/1') == 'plain method 1'
    assert await get_text(app, '/b/1') == 'coroutine method 1'


class PlainCallable:
    def __call__(self, request, x='-'):
        return 'plain object ' + x


class CoroutineCallable:
    async def __call__(self, request, x='-'):
        return 'coroutine object ' + x


async def test_callable_objects_are_handlers():
    app = Microdot()
    app.get('/a/<x>')(PlainCallable())
    app.get('/b/<x>')(CoroutineCallable())
    assert await get_text(app, '/a/1') == 'plain object 1'
    assert await get_text(app, '/b/1') == 'coroutine object 1'


async def test_coroutine_function_in_a_closure_is_a_handler():
    app = Microdot()
    text = 'enclosed'

    @app.get('/')
    async def index(request):
        return text

    assert await get_text(app, '/') == 'enclosed'


def generate(x):
    yield 'generator '
    yield x


def return_generator(request, x):
    return generate(x)


async def test_def_handler_that_returns_a_generator():
    # a function of the module: in a closure MicroPython could not tell it from a coroutine function
    app = Microdot()
    app.get('/<x>')(return_generator)
    assert await get_text(app, '/1') == 'generator 1'


async def test_def_handler_that_returns_a_coroutine():
    app = Microdot()

    async def coroutine(request):
        return 'awaited'

    app.get('/')(lambda request: coroutine(request))
    assert await get_text(app, '/') == 'awaited'


async def test_handler_with_any_arguments():
    app = Microdot()

    @app.get('/<a>/<b>')
    def index(*args, **kwargs):
        return '%s %s %s' % (len(args), kwargs['a'], kwargs['b'])

    assert await get_text(app, '/x/y') == '1 x y'


async def test_every_kind_of_hook():
    app = Microdot()
    calls = []

    class Hook:
        def __call__(self, request):
            calls.append('object')

        def plain(self, request):
            calls.append('plain method')

        async def coroutine(self, request):
            calls.append('coroutine method')

    @app.before_request
    def plain(request):
        calls.append('def')

    @app.before_request
    async def coroutine(request):
        calls.append('async def')

    app.before_request(lambda request: calls.append('lambda'))
    app.before_request(Hook())
    app.before_request(Hook().plain)
    app.before_request(Hook().coroutine)
    app.get('/')(say('ok'))
    await get_text(app, '/')
    assert calls == ['def', 'async def', 'lambda', 'object', 'plain method', 'coroutine method']


async def test_handler_without_the_request_argument_is_an_error():
    app = Microdot()
    try:
        @app.get('/')
        def index():
            return 'never'
    except TypeError as exc:
        assert 'request' in str(exc)
        return
    # MicroPython cannot tell in advance
    assert ON_MICROPYTHON
    assert (await TestClient(app).get('/')).status_code == 500


# ---------------------------------------------------------------------------------------------------------------
# Hooks
# ---------------------------------------------------------------------------------------------------------------

async def test_hooks_run_in_order():
    app = Microdot()
    calls = []
    app.before_request(lambda request: calls.append('before 1'))
    app.before_request(lambda request: calls.append('before 2'))
    app.after_request(lambda request, response: calls.append('after 1'))
    app.after_request(lambda request, response: calls.append('after 2'))
    app.after_error_request(lambda request, response: calls.append('after error'))

    @app.get('/')
    async def index(request):
        calls.append('handler')
        request.after_request(lambda request, response: calls.append('request 1'))
        request.after_request(lambda request, response: calls.append('request 2'))
        return 'ok'

    await get_text(app, '/')
    assert calls == ['before 1', 'before 2', 'handler', 'after 1', 'after 2', 'request 1', 'request 2']


async def test_hooks_and_handler_get_the_same_request():
    app = Microdot()
    requests = []
    app.before_request(lambda request: requests.append(request))
    app.after_request(lambda request, response: requests.append(request))

    @app.get('/')
    async def index(request):
        requests.append(request)

    await TestClient(app).get('/')
    assert len(requests) == 3
    assert requests[0] is requests[1] is requests[2]


async def test_before_hook_can_answer():
    app = Microdot()
    calls = []

    @app.before_request
    async def refuse(request):
        return 'Unauthorized', 401

    @app.before_request
    async def second(request):
        calls.append('second hook')

    @app.get('/')
    async def index(request):
        calls.append('handler')

    response = await TestClient(app).get('/')
    assert response.status_code == 401
    assert response.text == 'Unauthorized'
    assert calls == []


async def test_before_hook_answers_with_anything_but_none():
    values = {'/text': '', '/dict': {}, '/list': [], '/status': 202, '/bytes': b'x', '/response': Response('y', 203)}
    expected = {'/text': (200, b''), '/dict': (200, b'{}'), '/list': (200, b'[]'), '/status': (202, b''),
                '/bytes': (200, b'x'), '/response': (203, b'y')}
    app = Microdot()

    @app.before_request
    async def answer(request):
        return values[request.path]

    app.get('/<x>')(say('handler'))
    for path, (status_code, body) in expected.items():
        response = await TestClient(app).get(path)
        assert (response.status_code, response.body) == (status_code, body), path


async def test_after_hooks_run_when_a_before_hook_answered():
    app = Microdot()
    app.before_request(lambda request: 'answer')

    @app.after_request
    async def after(request, response):
        response.headers['X-After'] = response.body.decode()

    app.get('/')(say('handler'))
    response = await TestClient(app).get('/')
    assert response.headers['X-After'] == 'answer'


async def test_before_hooks_do_not_run_for_unknown_paths_and_methods():
    app = Microdot()
    calls = []
    app.before_request(lambda request: calls.append(request.path))
    app.get('/a')(say('a'))
    client = TestClient(app)
    assert (await client.get('/b')).status_code == 404
    assert (await client.post('/a')).status_code == 405
    assert calls == []


async def test_before_hook_can_abort():
    app = Microdot()
    app.before_request(lambda request: abort(403))
    app.get('/')(say('handler'))
    assert (await TestClient(app).get('/')).status_code == 403


async def test_after_hook_can_change_the_response():
    app = Microdot()

    @app.after_request
    def add_header(request, response):
        response.headers['X-Path'] = request.path
        response.set_cookie('a', 'b')

    app.get('/x')(say('ok'))
    response = await TestClient(app).get('/x')
    assert response.text == 'ok'
    assert response.headers['x-path'] == '/x'
    assert response.headers['set-cookie'] == ['a=b']


async def test_after_hook_can_replace_the_response():
    app = Microdot()
    seen = []

    @app.after_request
    async def replace(request, response):
        return Response('replaced', 202)

    @app.after_request
    async def look(request, response):
        seen.append(response.status_code)

    app.get('/')(say('original'))
    response = await TestClient(app).get('/')
    assert response.status_code == 202
    assert response.text == 'replaced'
    assert seen == [202]


async def test_after_hook_can_change_the_body():
    app = Microdot()

    @app.after_request
    async def upper(request, response):
        response.body = response.body.upper() + b'!'

    app.get('/')(say('text'))
    assert await get_text(app, '/') == 'TEXT!'


async def test_after_hook_gets_a_response_whatever_the_handler_returned():
    app = Microdot()
    seen = []
    app.after_request(lambda request, response: seen.append((type(response) is Response, response.status_code)))
    values = {'/text': 'x', '/none': None, '/int': 202, '/tuple': ('x', 201), '/response': Response('x', 203)}

    @app.get('/<x>')
    async def index(request, x):
        return values['/' + x]

    for path in ('/text', '/none', '/int', '/tuple', '/response'):
        await TestClient(app).get(path)
    assert seen == [(True, 200), (True, 204), (True, 202), (True, 201), (True, 203)]


async def test_after_hooks_run_for_successful_requests_only():
    app = Microdot()
    calls = []
    app.after_request(lambda request, response: calls.append(request.path))
    app.get('/abort')(lambda request: abort(400))
    app.get('/fail')(lambda request: 1 // 0)
    app.get('/ok')(say('ok'))
    client = TestClient(app)
    for path in ('/abort', '/fail', '/unknown', '/ok'):
        await client.get(path)
    await client.post('/ok')
    assert calls == ['/ok']


async def test_after_error_hooks_run_for_errors_only():
    app = Microdot()
    calls = []
    app.after_error_request(lambda request, response: calls.append((request.path, response.status_code)))
    app.get('/abort')(lambda request: abort(418))
    app.get('/fail')(lambda request: 1 // 0)
    app.get('/ok')(say('ok'))
    client = TestClient(app)
    for path in ('/abort', '/fail', '/unknown', '/ok'):
        await client.get(path)
    await client.post('/ok')
    assert calls == [('/abort', 418), ('/fail', 500), ('/unknown', 404), ('/ok', 405)]


async def test_after_error_hooks_run_for_the_applications_own_error_handlers():
    app = Microdot()
    calls = []
    app.after_error_request(lambda request, response: calls.append((request.path, response.status_code)))
    app.errorhandler(404)(lambda request: ('no', 410))
    app.errorhandler(405)(lambda request: ('no', 405))
    app.errorhandler(ZeroDivisionError)(lambda request, exc: ('no', 507))
    app.get('/fail')(lambda request: 1 // 0)
    client = TestClient(app)
    await client.get('/unknown')
    await client.post('/fail')
    await client.get('/fail')
    assert calls == [('/unknown', 410), ('/fail', 405), ('/fail', 507)]


async def test_after_error_hook_can_change_the_response():
    app = Microdot()

    @app.after_error_request
    async def add_header(request, response):
        response.headers['X-Error'] = str(response.status_code)

    response = await TestClient(app).get('/unknown')
    assert response.status_code == 404
    assert response.headers['X-Error'] == '404'


async def test_after_error_hook_can_replace_the_response():
    app = Microdot()
    app.after_error_request(lambda request, response: Response('replaced', 499))
    response = await TestClient(app).get('/unknown')
    assert (response.status_code, response.text) == (499, 'replaced')


async def test_after_error_hooks_run_for_large_bodies():
    app = Microdot()
    calls = []
    app.after_error_request(lambda request, response: calls.append(response.status_code))
    app.post('/')(say('ok'))
    with changed(Request, max_content_length=1000):
        response = await TestClient(app).post('/', body=b'x' * 1001)
    assert response.status_code == 413
    assert calls == [413]


async def test_after_error_hooks_run_for_malformed_requests():
    app = Microdot()
    calls = []

    @app.after_error_request
    async def count(request, response):
        calls.append(response.status_code)

    await exchange(app, b'nonsense\r\n\r\n')
    assert calls == [400]


async def test_error_in_a_before_hook():
    app = Microdot()
    calls = []
    app.before_request(lambda request: 1 // 0)
    app.after_error_request(lambda request, response: calls.append('after error'))

    @app.get('/')
    async def index(request):
        calls.append('handler')

    response = await TestClient(app).get('/')
    assert response.status_code == 500
    assert response.text == 'Internal server error'
    assert calls == ['after error']


async def test_error_in_an_after_hook():
    app = Microdot()
    app.after_request(lambda request, response: 1 // 0)
    app.get('/')(say('ok'))
    assert (await TestClient(app).get('/')).status_code == 500


async def test_error_in_an_after_hook_reaches_the_error_handlers():
    app = Microdot()
    app.after_request(lambda request, response: 1 // 0)
    app.errorhandler(ZeroDivisionError)(lambda request, exc: ('handled', 507))
    app.get('/')(say('ok'))
    response = await TestClient(app).get('/')
    assert (response.status_code, response.text) == (507, 'handled')


async def test_error_in_an_after_error_hook():
    app = Microdot()
    app.after_error_request(lambda request, response: 1 // 0)
    assert (await TestClient(app).get('/unknown')).status_code == 500


async def test_request_after_handler_returns_its_function():
    request = await create_request(['GET / HTTP/1.1'])

    def f(request, response):
        pass

    assert request.after_request(f) is f


async def test_request_after_handlers_are_of_one_request():
    app = Microdot()
    calls = []

    @app.get('/<x>')
    async def index(request, x):
        if x == '1':
            @request.after_request
            async def after(request, response):
                calls.append(x)

    await TestClient(app).get('/1')
    await TestClient(app).get('/2')
    assert calls == ['1']


async def test_request_after_handler_can_replace_the_response():
    app = Microdot()

    @app.get('/')
    async def index(request):
        @request.after_request
        def after(request, response):
            return Response(b'replaced ' + response.body)
        return 'original'

    assert await get_text(app, '/') == 'replaced original'


async def test_request_after_handler_of_a_hook():
    app = Microdot()

    @app.before_request
    async def before(request):
        @request.after_request
        async def after(request, response):
            response.set_cookie('a', 'b')
            return response

    app.get('/')(say('ok'))
    response = await TestClient(app).get('/')
    assert response.headers['Set-Cookie'] == ['a=b']


# ---------------------------------------------------------------------------------------------------------------
# Errors
# ---------------------------------------------------------------------------------------------------------------

async def test_default_errors():
    app = Microdot()
    app.get('/fail')(lambda request: 1 // 0)
    app.post('/post')(say('ok'))
    client = TestClient(app)
    with changed(Request, max_content_length=1000):
        large = await client.post('/post', body=b'x' * 1001)
    for response, status_code, text in ((await client.get('/unknown'), 404, 'Not found'),
                                        (await client.post('/fail'), 405, 'Method not allowed'),
                                        (large, 413, 'Payload too large'),
                                        (await client.get('/fail'), 500, 'Internal server error')):
        assert response.status_code == status_code
        assert response.text == text
        assert response.headers['Content-Type'] == 'text/plain; charset=UTF-8'


async def test_malformed_request():
    data = await exchange(Microdot(), b'nonsense\r\n\r\n')
    head, _, body = data.partition(b'\r\n\r\n')
    assert head.startswith(b'HTTP/1.1 400 Bad Request\r\n') or head.startswith(b'HTTP/1.0 400 Bad Request\r\n')
    assert body == b'Bad request'


async def test_abort():
    app = Microdot()
    app.get('/')(lambda request: abort(406))
    response = await TestClient(app).get('/')
    assert response.status_code == 406
    assert response.text == '406 error'


async def test_abort_with_a_reason():
    app = Microdot()
    app.get('/')(lambda request: abort(406, 'not like this'))
    response = await TestClient(app).get('/')
    assert response.status_code == 406
    assert response.text == 'not like this'


async def test_abort_with_a_status_that_has_a_default_text():
    app = Microdot()
    app.get('/')(lambda request: abort(404))
    response = await TestClient(app).get('/')
    assert (response.status_code, response.text) == (404, '404 error')


async def test_abort_by_name_of_the_application():
    app = Microdot()

    @app.get('/')
    async def index(request):
        app.abort(403, 'go away')

    response = await TestClient(app).get('/')
    assert (response.status_code, response.text) == (403, 'go away')


async def test_error_handler_for_404():
    app = Microdot()

    @app.errorhandler(404)
    async def not_found(request):
        return {'error': request.path}, 404

    response = await TestClient(app).get('/unknown')
    assert response.status_code == 404
    assert response.json == {'error': '/unknown'}


async def test_error_handler_for_405_keeps_allow():
    app = Microdot()
    app.get('/')(say('get'))
    app.errorhandler(405)(lambda request: ('mine', 405))
    response = await TestClient(app).post('/')
    assert (response.status_code, response.text) == (405, 'mine')
    assert 'GET' in allowed_methods(response)


async def test_error_handler_for_413():
    app = Microdot()
    app.post('/')(say('ok'))
    app.errorhandler(413)(lambda request: ('too much for ' + request.path, 413))
    with changed(Request, max_content_length=1000):
        response = await TestClient(app).post('/', body=b'x' * 1001)
    assert (response.status_code, response.text) == (413, 'too much for /')


async def test_error_handler_for_400():
    app = Microdot()
    app.errorhandler(400)(lambda request: ('mine', 400))
    data = await exchange(app, b'nonsense\r\n\r\n')
    assert b' 400 ' in data.split(b'\r\n')[0]
    assert data.endswith(b'\r\n\r\nmine')


async def test_error_handler_for_400_that_needs_the_request():
    # there is none where the request is malformed; the client is told all the same
    app = Microdot()
    app.errorhandler(400)(lambda request: (request.path, 400))
    data = await exchange(app, b'nonsense\r\n\r\n')
    assert data.split(b' ')[1] in (b'400', b'500')


async def test_error_handler_for_500():
    app = Microdot()
    app.get('/')(lambda request: 1 // 0)
    app.errorhandler(500)(lambda request: ('mine', 500))
    response = await TestClient(app).get('/')
    assert (response.status_code, response.text) == (500, 'mine')


async def test_error_handler_sees_aborts_with_its_code():
    app = Microdot()
    for status_code in (400, 404, 418, 500):
        app.errorhandler(status_code)(lambda request: 'handler of an abort')
    app.get('/<int:n>')(lambda request, n: abort(n))
    for status_code in (400, 404, 418, 500):
        assert await get_text(app, '/%d' % status_code) == 'handler of an abort'


async def test_error_handler_does_not_see_other_codes():
    app = Microdot()
    app.errorhandler(404)(lambda request: 'wrong')
    app.get('/')(lambda request: abort(403))
    assert (await TestClient(app).get('/')).status_code == 403


async def test_error_handler_may_answer_with_another_status():
    app = Microdot()
    app.errorhandler(404)(lambda request: ('moved on', 410))
    response = await TestClient(app).get('/unknown')
    assert (response.status_code, response.text) == (410, 'moved on')


async def test_error_handlers_return_every_form():
    def items():
        yield 'a'
        yield 'b'

    forms = (
        ('text', 200, b'text'), (b'bytes', 200, b'bytes'), ({'a': 1}, 200, b'{"a": 1}'), ([1], 200, b'[1]'),
        (('text', 499), 499, b'text'), (('text', {'X-Form': 'y'}), 200, b'text'),
        (('text', 499, {'X-Form': 'y'}), 499, b'text'), (404, 404, b''), (None, 204, b''),
        (Response('text', 499), 499, b'text'), ((items(), 499), 499, b'ab'),
    )
    for value, status_code, body in forms:
        app = Microdot()

        @app.errorhandler(404)
        async def not_found(request):
            return value  # noqa: B023 - called before the next iteration

        response = await TestClient(app).get('/unknown')
        assert (response.status_code, response.body) == (status_code, body), value
        if isinstance(value, tuple) and isinstance(value[-1], dict):
            assert response.headers['X-Form'] == 'y'


async def test_error_handler_for_an_exception_class():
    app = Microdot()
    app.get('/')(lambda request: 1 // 0)

    @app.errorhandler(ZeroDivisionError)
    async def division(request, exception):
        return '%s %s' % (request.path, type(exception).__name__), 507

    response = await TestClient(app).get('/')
    assert (response.status_code, response.text) == (507, '/ ZeroDivisionError')


async def test_error_handler_gets_the_exception():
    app = Microdot()
    exc = ValueError('mine')

    @app.get('/')
    async def index(request):
        raise exc

    seen = []
    app.errorhandler(ValueError)(lambda request, exception: seen.append(exception))
    await TestClient(app).get('/')
    assert seen == [exc]


async def test_error_handler_of_the_most_specific_class_wins():
    class MyError(KeyError):
        pass

    class MyOtherError(MyError):
        pass

    errors = {'/key': KeyError, '/index': IndexError, '/value': ValueError, '/my': MyError, '/other': MyOtherError}
    app = Microdot()
    app.errorhandler(Exception)(lambda request, exc: 'Exception')
    app.errorhandler(MyError)(lambda request, exc: 'MyError')
    app.errorhandler(LookupError)(lambda request, exc: 'LookupError')
    app.errorhandler(KeyError)(lambda request, exc: 'KeyError')

    @app.get('/<x>')
    async def index(request, x):
        raise errors['/' + x]('reason')

    for path, name in (('/key', 'KeyError'), ('/index', 'LookupError'), ('/value', 'Exception'), ('/my', 'MyError'),
                       ('/other', 'MyError')):
        assert await get_text(app, path) == name, path


async def test_error_handler_of_an_unrelated_class_is_not_called():
    app = Microdot()
    app.get('/')(lambda request: 1 // 0)
    app.errorhandler(ValueError)(lambda request, exc: 'wrong')
    assert (await TestClient(app).get('/')).status_code == 500


async def test_error_handler_of_a_class_wins_over_500():
    app = Microdot()
    app.get('/')(lambda request: 1 // 0)
    app.errorhandler(500)(lambda request: '500')
    app.errorhandler(ArithmeticError)(lambda request, exc: 'class')
    assert await get_text(app, '/') == 'class'


async def test_error_handler_for_exception_does_not_see_aborts():
    app = Microdot()
    app.get('/')(lambda request: abort(403))
    app.errorhandler(Exception)(lambda request, exc: 'wrong')
    client = TestClient(app)
    assert (await client.get('/')).status_code == 403
    assert (await client.get('/unknown')).status_code == 404


async def test_error_handlers_of_every_kind():
    class Handlers:
        def plain(self, request):
            return 'plain'

        async def coroutine(self, request):
            return 'coroutine'

        def __call__(self, request):
            return 'object'

    app = Microdot()
    app.errorhandler(400)(Handlers().plain)
    app.errorhandler(401)(Handlers().coroutine)
    app.errorhandler(402)(Handlers())
    app.get('/<int:n>')(lambda request, n: abort(n))
    assert await get_text(app, '/400') == 'plain'
    assert await get_text(app, '/401') == 'coroutine'
    assert await get_text(app, '/402') == 'object'


async def test_failing_error_handler_of_a_status():
    app = Microdot()
    app.errorhandler(404)(lambda request: 1 // 0)
    response = await TestClient(app).get('/unknown')
    assert (response.status_code, response.text) == (500, 'Internal server error')


async def test_failing_error_handler_of_a_class():
    app = Microdot()
    app.get('/')(lambda request: int('x'))
    app.errorhandler(ValueError)(lambda request, exc: 1 // 0)
    response = await TestClient(app).get('/')
    assert (response.status_code, response.text) == (500, 'Internal server error')


async def test_failing_error_handler_of_500():
    app = Microdot()
    app.get('/')(lambda request: int('x'))
    app.errorhandler(500)(lambda request: 1 // 0)
    response = await TestClient(app).get('/')
    assert (response.status_code, response.text) == (500, 'Internal server error')


async def test_error_of_one_request_does_not_change_the_next():
    app = Microdot()
    app.get('/fail')(lambda request: 1 // 0)
    app.get('/ok')(say('ok'))
    data = await exchange(app, b'GET /fail HTTP/1.1\r\nHost: a\r\n\r\n'
                               b'GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    assert data.count(b'HTTP/1.1 ') == 2
    assert data.startswith(b'HTTP/1.1 500 ')
    assert data.endswith(b'\r\n\r\nok')


async def test_handler_that_returns_nonsense():
    app = Microdot()
    app.get('/')(lambda request: object())
    try:
        response = await TestClient(app).get('/')
    except EOFError:  # too late for a status
        return
    assert response.status_code == 500


# ---------------------------------------------------------------------------------------------------------------
# Sub-applications
# ---------------------------------------------------------------------------------------------------------------

def subapp_that_tells():
    """Return an application whose routes tell where they are mounted."""
    subapp = Microdot()

    @subapp.get('/')
    async def index(request):
        return 'index of %s' % request.url_prefix

    @subapp.get('/<x>')
    async def item(request, x):
        return 'item %s of %s' % (x, request.url_prefix)

    return subapp


def log_hooks(app, name, calls):
    """Register hooks of every kind that append their names to ``calls``."""
    app.before_request(lambda request: calls.append('before ' + name))
    app.after_request(lambda request, response: calls.append('after ' + name))
    app.after_error_request(lambda request, response: calls.append('error ' + name))


async def test_mount_without_a_prefix():
    app = Microdot()
    app.get('/own')(say('own'))
    app.mount(subapp_that_tells())
    assert await get_text(app, '/') == 'index of '
    assert await get_text(app, '/x') == 'item x of '
    assert await get_text(app, '/own') == 'own'


async def test_mount_with_a_prefix():
    app = Microdot()
    app.mount(subapp_that_tells(), '/sub')
    assert await get_text(app, '/sub/') == 'index of /sub'
    assert await get_text(app, '/sub/x') == 'item x of /sub'
    client = TestClient(app)
    for path in ('/', '/x', '/sub', '/sub/x/y'):
        assert (await client.get(path)).status_code == 404, path


async def test_mount_joins_prefix_and_pattern():
    # nothing is added between them
    subapp = Microdot()
    subapp.get('')(say('empty'))
    subapp.get('x')(say('x'))
    app = Microdot()
    app.mount(subapp, '/a')
    app.mount(subapp, '/b/')
    client = TestClient(app)
    assert await get_text(app, '/a') == 'empty'
    assert (await client.get('/a/')).status_code == 404
    assert await get_text(app, '/b/') == 'empty'
    assert await get_text(app, '/b/x') == 'x'
    assert (await client.get('/b')).status_code == 404


async def test_mount_keeps_methods():
    subapp = Microdot()
    subapp.post('/')(say('post'))
    subapp.route('/', methods=['PUT', 'DELETE'])(say('others'))
    app = Microdot()
    app.mount(subapp, url_prefix='/sub')
    client = TestClient(app)
    assert (await client.post('/sub/')).text == 'post'
    assert (await client.put('/sub/')).text == 'others'
    assert (await client.get('/sub/')).status_code == 405
    assert allowed_methods(await client.request('OPTIONS', '/sub/')) == ['DELETE', 'OPTIONS', 'POST', 'PUT']


async def test_mount_under_a_dynamic_prefix():
    subapp = Microdot()
    subapp.get('/<x>')(lambda request, lang, x: lang + ' ' + x)
    app = Microdot()
    app.mount(subapp, '/<lang>')
    assert await get_text(app, '/en/5') == 'en 5'


async def test_mounted_routes_keep_registration_order():
    app = Microdot()
    app.get('/sub/a')(say('before'))
    subapp = Microdot()
    subapp.get('/<x>')(say('sub'))
    app.mount(subapp, '/sub')
    app.get('/sub/b')(say('behind'))
    assert await get_text(app, '/sub/a') == 'before'
    assert await get_text(app, '/sub/b') == 'sub'


async def test_mount_nested():
    inner = subapp_that_tells()
    middle = Microdot()
    middle.mount(inner, '/inner')
    app = Microdot()
    app.mount(middle, '/middle')
    assert await get_text(app, '/middle/inner/') == 'index of /middle/inner'
    assert await get_text(app, '/middle/inner/x') == 'item x of /middle/inner'
    assert await get_text(middle, '/inner/x') == 'item x of /inner'


async def test_mount_leaves_the_subapp_as_it_was():
    subapp = subapp_that_tells()
    app = Microdot()
    app.mount(subapp, '/sub')
    assert await get_text(subapp, '/') == 'index of '
    assert await get_text(subapp, '/x') == 'item x of '


async def test_mount_twice():
    calls = []
    subapp = subapp_that_tells()
    log_hooks(subapp, 'sub', calls)
    app = Microdot()
    app.mount(subapp, '/one')
    app.mount(subapp, '/two')
    assert await get_text(app, '/one/x') == 'item x of /one'
    assert await get_text(app, '/two/x') == 'item x of /two'
    assert calls == ['before sub', 'after sub'] * 2


async def test_mount_twice_runs_coroutine_hooks_once():
    calls = []
    subapp = subapp_that_tells()

    @subapp.before_request
    async def before(request):
        calls.append('before')

    @subapp.after_request
    async def after(request, response):
        calls.append('after')

    app = Microdot()
    app.mount(subapp, '/one')
    app.mount(subapp, '/two')
    await get_text(app, '/two/x')
    assert calls == ['before', 'after']


async def test_hook_of_the_application_and_of_a_subapp_runs_for_each():
    calls = []

    async def coroutine(request):
        calls.append('async')

    def plain(request):
        calls.append('def')

    subapp = subapp_that_tells()
    app = Microdot()
    for one in (subapp, app):
        one.before_request(coroutine)
        one.before_request(plain)
    app.mount(subapp, '/sub')
    await get_text(app, '/sub/')
    assert sorted(calls) == ['async', 'async', 'def', 'def']


async def test_mount_twice_local():
    calls = []
    subapp = subapp_that_tells()
    log_hooks(subapp, 'sub', calls)
    app = Microdot()
    app.mount(subapp, '/one', local=True)
    app.mount(subapp, '/two', local=True)
    assert await get_text(app, '/one/x') == 'item x of /one'
    assert await get_text(app, '/two/x') == 'item x of /two'
    assert calls == ['before sub', 'after sub'] * 2


async def test_mounted_hooks_become_the_whole_applications():
    calls = []
    subapp = subapp_that_tells()
    log_hooks(subapp, 'sub', calls)
    app = Microdot()
    app.get('/own')(say('own'))
    log_hooks(app, 'app', calls)
    app.mount(subapp, '/sub')
    await get_text(app, '/own')
    assert sorted(calls) == ['after app', 'after sub', 'before app', 'before sub']
    calls.clear()
    await TestClient(app).get('/unknown')
    assert sorted(calls) == ['error app', 'error sub']


async def test_local_hooks_stay_with_their_routes():
    calls = []
    subapp = subapp_that_tells()
    log_hooks(subapp, 'sub', calls)
    app = Microdot()
    app.get('/own')(say('own'))
    app.mount(subapp, '/sub', local=True)
    await get_text(app, '/own')
    await TestClient(app).get('/unknown')
    assert calls == []
    await get_text(app, '/sub/x')
    assert calls == ['before sub', 'after sub']


async def test_order_of_local_hooks():
    calls = []
    subapp = Microdot()

    @subapp.get('/')
    async def index(request):
        request.after_request(lambda request, response: calls.append('after request'))
        calls.append('handler')

    app = Microdot()
    app.mount(subapp, '/sub', local=True)
    log_hooks(app, 'app', calls)
    log_hooks(subapp, 'sub', calls)
    await TestClient(app).get('/sub/')
    assert calls == ['before app', 'before sub', 'handler', 'after sub', 'after app', 'after request']


async def test_order_of_nested_local_hooks():
    calls = []
    inner = subapp_that_tells()
    middle = Microdot()
    app = Microdot()
    for one, name in ((inner, 'inner'), (middle, 'middle'), (app, 'app')):
        log_hooks(one, name, calls)
    middle.mount(inner, '/inner', local=True)
    app.mount(middle, '/middle', local=True)
    await get_text(app, '/middle/inner/x')
    assert calls == ['before app', 'before middle', 'before inner', 'after inner', 'after middle', 'after app']


async def test_local_hooks_of_a_subapp_that_is_part_of_a_mounted_one():
    calls = []
    inner = subapp_that_tells()
    middle = Microdot()
    middle.get('/own')(say('own'))
    app = Microdot()
    app.get('/own')(say('own'))
    log_hooks(inner, 'inner', calls)
    log_hooks(middle, 'middle', calls)
    middle.mount(inner, '/inner', local=True)
    app.mount(middle, '/middle')
    await get_text(app, '/own')
    assert calls == ['before middle', 'after middle']
    calls.clear()
    await get_text(app, '/middle/inner/x')
    assert calls == ['before middle', 'before inner', 'after inner', 'after middle']


async def test_local_before_hook_can_answer():
    calls = []
    subapp = Microdot()
    subapp.before_request(lambda request: 'answer')
    subapp.get('/')(lambda request: calls.append('handler'))
    app = Microdot()
    app.get('/')(say('own'))
    app.mount(subapp, '/sub', local=True)
    assert await get_text(app, '/sub/') == 'answer'
    assert await get_text(app, '/') == 'own'
    assert calls == []


async def test_application_hook_that_answers_keeps_local_hooks_from_running():
    calls = []
    subapp = subapp_that_tells()
    subapp.before_request(lambda request: calls.append('sub'))
    app = Microdot()
    app.before_request(lambda request: 'answer')
    app.mount(subapp, '/sub', local=True)
    assert await get_text(app, '/sub/') == 'answer'
    assert calls == []


async def test_local_error_hooks():
    calls = []
    subapp = Microdot()
    subapp.get('/')(lambda request: abort(400))
    log_hooks(subapp, 'sub', calls)
    app = Microdot()
    log_hooks(app, 'app', calls)
    app.mount(subapp, '/sub', local=True)
    await TestClient(app).get('/sub/')
    assert calls == ['before app', 'before sub', 'error sub', 'error app']


async def test_mounted_error_handlers_become_the_whole_applications():
    subapp = Microdot()
    subapp.errorhandler(404)(lambda request: ('sub', 404))
    subapp.errorhandler(ZeroDivisionError)(lambda request, exc: ('sub', 507))
    app = Microdot()
    app.get('/fail')(lambda request: 1 // 0)
    app.mount(subapp, '/sub')
    client = TestClient(app)
    assert (await client.get('/unknown')).text == 'sub'
    assert (await client.get('/fail')).status_code == 507


async def test_local_error_handlers_stay_with_their_routes():
    app = Microdot()
    subapp = Microdot()
    for one, name in ((app, 'app'), (subapp, 'sub')):
        one.errorhandler(404)(lambda request, name=name: (name + ' 404', 404))
        one.errorhandler(ZeroDivisionError)(lambda request, exc, name=name: (name + ' zero', 507))
        one.get('/fail')(lambda request: 1 // 0)
        one.get('/abort')(lambda request: abort(404))
    app.mount(subapp, '/sub', local=True)
    client = TestClient(app)
    for path, text in (('/fail', 'app zero'), ('/abort', 'app 404'), ('/unknown', 'app 404'),
                       ('/sub/fail', 'sub zero'), ('/sub/abort', 'sub 404'), ('/sub/unknown', 'app 404')):
        assert (await client.get(path)).text == text, path


async def test_application_error_handlers_serve_routes_of_local_subapps():
    subapp = Microdot()
    subapp.get('/fail')(lambda request: 1 // 0)
    subapp.get('/abort')(lambda request: abort(418))
    app = Microdot()
    app.errorhandler(418)(lambda request: ('app', 418))
    app.errorhandler(ArithmeticError)(lambda request, exc: ('app', 507))
    app.mount(subapp, '/sub', local=True)
    client = TestClient(app)
    assert (await client.get('/sub/fail')).status_code == 507
    assert (await client.get('/sub/abort')).text == 'app'


async def test_request_knows_where_its_route_is_mounted():
    seen = []

    async def handler(request):
        seen.append((request.url_prefix, request.subapp, request.route))

    inner = Microdot()
    middle = Microdot()
    app = Microdot()
    for one in (inner, middle, app):
        one.get('/')(handler)
    middle.mount(inner, '/inner')
    app.mount(middle, '/middle')
    for path in ('/', '/middle/', '/middle/inner/'):
        assert (await TestClient(app).get(path)).status_code == 204
    assert [url_prefix for url_prefix, _, _ in seen] == ['', '/middle', '/middle/inner']
    assert [subapp for _, subapp, _ in seen] == [None, middle, inner]
    assert [route is handler for _, _, route in seen] == [True, True, True]


async def test_request_knows_its_route_in_hooks():
    app = Microdot()
    seen = []
    app.before_request(lambda request: seen.append(request.route))

    @app.get('/<x>')
    def handler(request, x):
        return x

    await get_text(app, '/1')
    assert seen == [handler]


async def test_request_app_is_the_application_that_serves():
    subapp = Microdot()
    seen = []
    subapp.get('/')(lambda request: seen.append(request.app))
    app = Microdot()
    app.mount(subapp, '/sub')
    await TestClient(app).get('/sub/')
    assert seen == [app]


# ---------------------------------------------------------------------------------------------------------------
# Without a server
# ---------------------------------------------------------------------------------------------------------------

async def test_dispatch_request():
    app = Microdot()

    @app.get('/<x>')
    async def index(request, x):
        return {'x': x}, 201, {'X-Test': 'y'}

    request = Request(app, ('1.2.3.4', 5), 'GET', '/abc?d=e', '1.1', NoCaseDict())
    response = await app.dispatch_request(request)
    assert isinstance(response, Response)
    assert response.status_code == 201
    assert response.body == b'{"x": "abc"}'
    assert response.headers['X-Test'] == 'y'


async def test_dispatch_request_answers_errors():
    app = Microdot()
    app.get('/fail')(lambda request: 1 // 0)
    for method, url, status_code in (('GET', '/unknown', 404), ('POST', '/fail', 405), ('GET', '/fail', 500)):
        response = await app.dispatch_request(Request(app, ('1.2.3.4', 5), method, url, '1.1', NoCaseDict()))
        assert response.status_code == status_code


async def test_dispatch_request_runs_hooks():
    app = Microdot()
    calls = []
    log_hooks(app, 'app', calls)
    app.get('/')(say('ok'))
    await app.dispatch_request(Request(app, ('1.2.3.4', 5), 'GET', '/', '1.1', NoCaseDict()))
    assert calls == ['before app', 'after app']


async def test_handle_request():
    app = Microdot()
    app.get('/')(lambda request: '%s %s' % request.client_addr)
    writer = FakeWriter()
    reader = AsyncBytesIO(b'GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n')
    assert await app.handle_request(reader, writer) is None
    head, _, body = writer.written.partition(b'\r\n\r\n')
    assert head.startswith(b'HTTP/1.1 200 OK\r\n')
    assert body == b'1.2.3.4 5678'
    assert writer.is_closed


async def test_handle_request_that_never_comes():
    assert await exchange(Microdot(), b'') == b''


async def test_handle_request_serves_pipelined_requests_in_order():
    app = Microdot()
    app.get('/<x>')(lambda request, x: 'item ' + x)
    data = await exchange(app, b''.join([b'GET /%d HTTP/1.1\r\nHost: a\r\n\r\n' % i for i in range(3)]))
    assert [part[:1] for part in data.split(b'item ')[1:]] == [b'0', b'1', b'2']


async def test_start_serving_is_for_cpython():
    if ON_MICROPYTHON:
        with raises(ValueError):
            await Microdot().start_server(port=5678, start_serving=False)
