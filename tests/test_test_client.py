"""The test client: what it sends, what it makes of responses, and its cookies."""
import asyncio
import time

from helpers import raises
from microdot import Microdot, Response
from microdot.microdot import NoCaseDict
from microdot.test_client import TestClient, TestResponse


def echo_app():
    """Return an application that answers everything with what it was sent."""
    app = Microdot()

    @app.route('/<path:path>', methods=['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY'])
    async def echo(request, path):
        return {'method': request.method, 'url': request.url, 'headers': dict(request.headers.items()),
                'body': request.body.decode(), 'cookies': request.cookies, 'scheme': request.scheme,
                'client_addr': request.client_addr, 'json': request.json}
    return app


def app_that_returns(make_value):
    app = Microdot()
    app.get('/')(lambda request: make_value())
    return app


# ---------------------------------------------------------------------------------------------------------------
# Requests
# ---------------------------------------------------------------------------------------------------------------

async def test_methods():
    client = TestClient(echo_app())
    for method, call in (('GET', client.get), ('POST', client.post), ('PUT', client.put), ('PATCH', client.patch),
                         ('DELETE', client.delete), ('QUERY', client.query)):
        assert (await call('/x')).json['method'] == method
        assert (await client.request(method, '/x')).json['method'] == method


async def test_path_and_query_string():
    assert (await TestClient(echo_app()).get('/a%20b?c=d&e')).json['url'] == '/a%20b?c=d&e'


async def test_headers():
    client = TestClient(echo_app())
    for call in (client.get, client.post, client.put, client.patch, client.delete, client.query):
        headers = NoCaseDict((await call('/x', headers={'X-Test': 'value'})).json['headers'])
        assert headers['X-Test'] == 'value'
    assert NoCaseDict((await client.get('/x', {'X-Test': 'value'})).json['headers'])['X-Test'] == 'value'


async def test_headers_are_not_changed():
    headers = {'X-Test': 'value'}
    await TestClient(echo_app(), cookies={'a': 'b'}).post('/x', headers, 'body')
    assert headers == {'X-Test': 'value'}


async def test_bodies():
    client = TestClient(echo_app())
    for call in (client.post, client.put, client.patch, client.query):
        assert (await call('/x', body=b'bytes')).json['body'] == 'bytes'
        assert (await call('/x', body='grüße')).json['body'] == 'grüße'
        assert (await call('/x', body='')).json['body'] == ''
        assert (await call('/x')).json['body'] == ''
    assert (await client.request('POST', '/x', None, 'text')).json['body'] == 'text'


async def test_bodies_of_json():
    client = TestClient(echo_app())
    assert (await client.post('/x', body={'a': [1]})).json['json'] == {'a': [1]}
    assert (await client.post('/x', body=[1, 2])).json['json'] == [1, 2]
    assert (await client.post('/x', body={})).json['json'] == {}


async def test_body_of_json_with_a_type_of_ones_own():
    response = await TestClient(echo_app()).post('/x', {'content-type': 'application/problem+json'}, {'a': 1})
    assert NoCaseDict(response.json['headers'])['Content-Type'] == 'application/problem+json'
    assert response.json['json'] == {'a': 1}


async def test_body_has_its_length_in_bytes():
    response = await TestClient(echo_app()).post('/x', body='ü')
    assert NoCaseDict(response.json['headers'])['Content-Length'] == '2'


async def test_scheme():
    assert (await TestClient(echo_app()).get('/x')).json['scheme'] == 'http'
    assert (await TestClient(echo_app(), scheme='https').get('/x')).json['scheme'] == 'https'


async def test_host():
    response = await TestClient(echo_app(), host='my.example:99').get('/x')
    assert NoCaseDict(response.json['headers'])['Host'] == 'my.example:99'
    response = await TestClient(echo_app()).get('/x')
    assert NoCaseDict(response.json['headers'])['Host']
    response = await TestClient(echo_app(), host='a').get('/x', {'host': 'b'})
    assert NoCaseDict(response.json['headers'])['Host'] == 'b'


async def test_client_address():
    host, port = (await TestClient(echo_app()).get('/x')).json['client_addr']
    assert isinstance(host, str)
    assert isinstance(port, int)


async def test_many_requests_of_one_client():
    client = TestClient(echo_app())
    for i in range(5):
        assert (await client.get('/%d' % i)).json['url'] == '/%d' % i


async def test_request_goes_through_the_real_parser():
    assert (await TestClient(echo_app()).get('/x y')).status_code == 400
    assert (await TestClient(echo_app()).get('/x', {'Bad Name': 'x'})).status_code == 400


# ---------------------------------------------------------------------------------------------------------------
# Responses
# ---------------------------------------------------------------------------------------------------------------

async def test_response():
    response = await TestClient(app_that_returns(lambda: ('grün', 404, {'X-Test': 'value'}))).get('/')
    assert isinstance(response, TestResponse)
    assert response.status_code == 404
    assert response.reason == 'Not Found'
    assert response.headers['x-test'] == 'value'
    assert response.body == 'grün'.encode()
    assert response.text == 'grün'
    assert response.json is None


async def test_response_of_json():
    for content_type in ('application/json', 'application/json; charset=UTF-8', 'application/problem+json'):
        response = await TestClient(app_that_returns(
            lambda: ('{"a": [1]}', {'Content-Type': content_type}))).get('/')  # noqa: B023
        assert response.json == {'a': [1]}
        assert response.text == '{"a": [1]}'


async def test_response_that_is_not_utf8():
    response = await TestClient(app_that_returns(lambda: b'\xff\x00')).get('/')
    assert response.body == b'\xff\x00'
    assert response.text is None


async def test_response_without_a_body():
    response = await TestClient(app_that_returns(lambda: None)).get('/')
    assert (response.status_code, response.body) == (204, b'')


async def test_response_in_chunks():
    response = await TestClient(app_that_returns(lambda: iter(['one', 'two']))).get('/')
    assert response.text == 'onetwo'


async def test_response_to_head():
    response = await TestClient(app_that_returns(lambda: 'text')).request('HEAD', '/')
    assert (response.status_code, response.body) == (200, b'')
    assert response.headers['Content-Length'] == '4'


async def test_response_to_head_of_a_stream():
    response = await TestClient(app_that_returns(lambda: iter(['text']))).request('HEAD', '/')
    assert (response.status_code, response.body) == (200, b'')


async def test_response_with_repeated_headers():
    response = await TestClient(app_that_returns(lambda: ('', {'X-Test': ['one', 'two']}))).get('/')
    assert response.headers['X-Test'] == 'one, two'


async def test_response_after_100_continue():
    app = Microdot()
    app.post('/')(lambda request: request.body)
    response = await TestClient(app).post('/', {'Expect': '100-continue'}, 'text')
    assert (response.status_code, response.text) == (200, 'text')


def app_that_sends(data):
    """Return an application that answers with bytes of its own."""
    app = Microdot()

    @app.get('/')
    async def index(request):
        await request.sock[1].awrite(data)
        return Response.already_handled
    return app


async def test_response_that_ends_early():
    for data in (b'', b'HTTP/1.1 200 OK\r\n', b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntext',
                 b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntext\r\n',
                 b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntext',
                 b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntext\r\n0\r\n'):
        with raises(EOFError):
            await TestClient(app_that_sends(data)).get('/')


async def test_response_that_ends_with_the_connection():
    response = await TestClient(app_that_sends(b'HTTP/1.0 200 OK\r\n\r\ntext')).get('/')
    assert response.text == 'text'


# ---------------------------------------------------------------------------------------------------------------
# Cookies
# ---------------------------------------------------------------------------------------------------------------

def app_that_sets(*args, **kwargs):
    """Return an application that sets a cookie at ``/set`` and tells everywhere what cookies it gets."""
    app = Microdot()

    @app.get('/set')
    async def set_cookie(request):
        response = Response('')
        response.set_cookie(*args, **kwargs)
        return response

    @app.get('/delete')
    async def delete_cookie(request):
        response = Response('')
        response.delete_cookie(args[0])
        return response

    @app.get('/<path:path>')
    async def tell(request, path):
        return request.cookies
    return app


def http_date(seconds):
    """Return the date that many seconds from now; MicroPython has no ``strftime``."""
    year, month, day, hour, minute, second = time.gmtime(int(time.time()) + seconds)[:6]
    return 'Mon, %02d %s %d %02d:%02d:%02d GMT' % (day, 'JanFebMarAprMayJunJulAugSepOctNovDec'[month * 3 - 3:month * 3],
                                                  year, hour, minute, second)


async def test_cookies_of_the_constructor():
    client = TestClient(echo_app(), cookies={'a': 'one', 'b': 'two'})
    assert (await client.get('/x')).json['cookies'] == {'a': 'one', 'b': 'two'}
    assert (await client.post('/x')).json['cookies'] == {'a': 'one', 'b': 'two'}


async def test_cookies_of_the_headers():
    response = await TestClient(echo_app()).get('/x', {'Cookie': 'a=one'})
    assert response.json['cookies'] == {'a': 'one'}
    response = await TestClient(echo_app(), cookies={'b': 'two'}).get('/x', {'Cookie': 'a=one'})
    assert response.json['cookies'] == {'a': 'one', 'b': 'two'}


async def test_cookies_are_kept():
    client = TestClient(app_that_sets('a', 'one'))
    assert (await client.get('/x')).json == {}
    response = await client.get('/set')
    assert response.headers['Set-Cookie'] == ['a=one']
    assert (await client.get('/x')).json == {'a': 'one'}
    assert client.cookies['a'] == 'one'


async def test_cookies_with_attributes_are_kept():
    client = TestClient(app_that_sets('a', 'one', path='/', http_only=True, max_age=60, same_site='Lax'))
    await client.get('/set')
    assert (await client.get('/x')).json == {'a': 'one'}


async def test_cookies_belong_to_one_client():
    app = app_that_sets('a', 'one')
    await TestClient(app).get('/set')
    assert (await TestClient(app).get('/x')).json == {}


async def test_cookie_is_replaced():
    client = TestClient(app_that_sets('a', 'new'), cookies={'a': 'old'})
    assert (await client.get('/x')).json == {'a': 'old'}
    await client.get('/set')
    assert (await client.get('/x')).json == {'a': 'new'}


async def test_cookie_with_an_equals_sign_in_its_value():
    client = TestClient(app_that_sets('a', 'b=c=='))
    await client.get('/set')
    assert (await client.get('/x')).json == {'a': 'b=c=='}


async def test_cookies_can_be_changed_between_requests():
    client = TestClient(echo_app())
    client.cookies['a'] = 'one'
    assert (await client.get('/x')).json['cookies'] == {'a': 'one'}
    del client.cookies['a']
    assert (await client.get('/x')).json['cookies'] == {}


async def test_several_cookies_of_one_response():
    app = Microdot()

    @app.get('/')
    async def index(request):
        response = Response(request.cookies)
        response.set_cookie('a', 'one')
        response.set_cookie('b', 'two')
        return response

    client = TestClient(app)
    assert (await client.get('/')).json == {}
    assert (await client.get('/')).json == {'a': 'one', 'b': 'two'}


async def test_cookie_with_a_path():
    client = TestClient(app_that_sets('a', 'one', path='/admin'))
    await client.get('/set')
    for path, is_sent in (('/admin', True), ('/admin/', True), ('/admin/users', True), ('/admin?x=/', True),
                          ('/administrator', False), ('/', False), ('/x/admin', False), ('/x?y=/admin', False)):
        response = await client.get(path)
        if path != '/':
            assert response.json == ({'a': 'one'} if is_sent else {}), path


async def test_cookie_with_a_path_that_ends_in_a_slash():
    client = TestClient(app_that_sets('a', 'one', path='/admin/'))
    await client.get('/set')
    assert (await client.get('/admin/users')).json == {'a': 'one'}
    assert (await client.get('/administrator')).json == {}


async def test_cookie_is_deleted():
    client = TestClient(app_that_sets('a', 'one'))
    await client.get('/set')
    await client.get('/delete')
    assert (await client.get('/x')).json == {}
    assert 'a' not in client.cookies


async def test_cookie_that_is_not_there_is_deleted():
    client = TestClient(app_that_sets('a', 'one'))
    assert (await client.get('/delete')).status_code == 200


async def test_cookie_with_a_max_age_of_zero_or_less_is_gone():
    for max_age in (0, -1):
        client = TestClient(app_that_sets('a', 'one', max_age=max_age), cookies={'a': 'old'})
        await client.get('/set')
        assert (await client.get('/x')).json == {}


async def test_cookie_with_a_date_of_the_past_is_gone():
    for expires in ('Thu, 01 Jan 1970 00:00:01 GMT', 'Thu, 01-Jan-1970 00:00:01 GMT', http_date(-60)):
        client = TestClient(app_that_sets('a', 'one', expires=expires), cookies={'a': 'old'})
        await client.get('/set')
        assert (await client.get('/x')).json == {}, expires


async def test_cookie_with_a_date_of_the_future_stays():
    for expires in ('Tue, 05 Nov 2999 02:23:54 GMT', http_date(60)):
        client = TestClient(app_that_sets('a', 'one', expires=expires))
        await client.get('/set')
        assert (await client.get('/x')).json == {'a': 'one'}, expires


async def test_max_age_of_a_cookie_wins_over_its_date():
    # RFC 6265 section 4.1.2.2
    client = TestClient(app_that_sets('a', 'one', max_age=60, expires='Thu, 01 Jan 1970 00:00:01 GMT'))
    await client.get('/set')
    assert (await client.get('/x')).json == {'a': 'one'}


async def test_cookie_with_a_date_that_is_nonsense_stays():
    # RFC 6265 section 5.2.1: the attribute is ignored
    client = TestClient(app_that_sets('a', 'one', expires='tomorrow'))
    await client.get('/set')
    assert (await client.get('/x')).json == {'a': 'one'}


async def cookies_after_a_second(**kwargs):
    client = TestClient(app_that_sets('a', 'one', **kwargs), cookies={'b': 'two'})
    await client.get('/set')
    await asyncio.sleep(1.1)
    return (await client.get('/x')).json


async def test_cookie_with_a_max_age_expires():
    assert await cookies_after_a_second(max_age=1) == {'b': 'two'}


async def test_cookie_with_a_date_expires():
    assert await cookies_after_a_second(expires=http_date(1)) == {'b': 'two'}
