"""Rows of wire_cases.py: responses."""
from support import Reply, closes, either, keeps
from wire_requests import HELLO, NEXT, get, get10, length, line_of, post, request

# ---------------------------------------------------------------------------------------------------------------
# Responses (RFC 9110 sections 9 and 15, RFC 9112 sections 4 to 7)
# ---------------------------------------------------------------------------------------------------------------

TEXT = {'Content-Type': 'text/plain; charset=UTF-8'}
JSON = {'Content-Type': 'application/json; charset=UTF-8'}
CHUNKED = {'Transfer-Encoding': 'chunked'}
FRAMING = ('Content-Length', 'Transfer-Encoding')


def head(path, version=b'1.1', lines=b''):
    return request(b'HEAD ' + path + b' HTTP/' + version, lines)


def head_reply(status, headers, absent=(), version='1.1'):
    return Reply(status, b'', headers, absent, 'HEAD', version)


RESPONSES = (
    ('str', get(b'/text'), keeps(Reply(200, b'caf\xc3\xa9', dict(TEXT, **{'Content-Length': '5'})))),
    ('bytes', get(b'/bytes'), keeps(Reply(200, b'\x00\xff', {'Content-Length': '2'}))),
    ('dict', get(b'/dict'), keeps(Reply(200, b'{"a": 1}', JSON))),
    ('list', get(b'/list'), keeps(Reply(200, b'[1, 2]', JSON))),
    ('None', get(b'/none'), keeps(Reply(204, b'', absent=FRAMING))),
    ('int', get(b'/number'), keeps(Reply(202, b'', {'Content-Length': '0'}))),
    ('headers', get(b'/headers'), keeps(Reply(200, b'ok', {'X': 'y'}))),
    ('repeated header', get(b'/cookie'), keeps(Reply(200, b'ok', {'Set-Cookie': 'a=1, b=2'}))),
    ('redirect', get(b'/redirect'), keeps(Reply(302, b'', {'Location': '/x', 'Content-Length': '0'}))),
    ('abort', get(b'/abort/403'), keeps(Reply(403, b'403 error'))),
    # RFC 9110 section 15.3.5 and RFC 9112 section 6.3: no body, whatever the handler returns
    ('204', get(b'/status/204'), keeps(Reply(204, b'', absent=FRAMING))),
    ('204, then a request', get(b'/status/204') + NEXT, keeps(Reply(204, b''), HELLO)),
    ('304', get(b'/status/304'), keeps(Reply(304, b'', absent=('Transfer-Encoding',)))),
    ('304, then a request', get(b'/status/304') + NEXT, keeps(Reply(304, b''), HELLO)),
    ('204 with a stream', get(b'/stream204'), keeps(Reply(204, b'', absent=FRAMING))),
    ('304 with a stream', get(b'/stream304'), keeps(Reply(304, b'', absent=('Transfer-Encoding',)))),
    ('204 in HTTP/1.0', get10(b'/status/204'), closes(Reply(204, b'', absent=FRAMING, version='1.0'))),
    ('204 in HTTP/1.0, kept', get10(b'/status/204', b'Connection: keep-alive\r\n'),
     keeps(Reply(204, b'', absent=FRAMING, version='1.0'))),
    # streams: RFC 9112 section 7.1 and, for HTTP/1.0, section 6.3 rule 8
    ('generator', get(b'/generator'), keeps(Reply(200, b'onetwo', CHUNKED, ('Content-Length',)))),
    ('generator that yields nothing', get(b'/nothing'), keeps(Reply(200, b'', CHUNKED))),
    ('reader', get(b'/reader'), keeps(Reply(200, b'onetwo', CHUNKED))),
    ('generator of known length', get(b'/sized'), keeps(Reply(200, b'onetwo', {'Content-Length': '6'}))),
    ('generator, then a request', get(b'/generator') + NEXT, keeps(Reply(200, b'onetwo'), HELLO)),
    ('generator, to be closed', get(b'/generator', b'Connection: close\r\n'),
     closes(Reply(200, b'onetwo', CHUNKED))),
    ('generator in HTTP/1.0', get10(b'/generator'),
     closes(Reply(200, b'onetwo', absent=FRAMING, version='1.0'))),
    ('generator in HTTP/1.0, not kept', get10(b'/generator', b'Connection: keep-alive\r\n'),
     closes(Reply(200, b'onetwo', absent=FRAMING, version='1.0'))),
    ('generator that yields nothing, in HTTP/1.0', get10(b'/nothing'),
     closes(Reply(200, b'', version='1.0'))),
    ('generator of known length in HTTP/1.0, kept', get10(b'/sized', b'Connection: keep-alive\r\n'),
     keeps(Reply(200, b'onetwo', {'Content-Length': '6'}, version='1.0'))),
    ('reader in HTTP/1.0', get10(b'/reader'), closes(Reply(200, b'onetwo', absent=FRAMING, version='1.0'))),
    # RFC 9110 section 9.3.2
    ('HEAD', head(b'/'), keeps(head_reply(200, {'Content-Length': '5'}))),
    ('HEAD of an unknown path', head(b'/unknown'), keeps(head_reply(404, {'Content-Length': '9'}))),
    ('HEAD where there is no GET', head(b'/stream'), keeps(head_reply(405, {'Allow': ('POST', 'OPTIONS')}))),
    ('HEAD of a generator', head(b'/generator'), keeps(head_reply(200, CHUNKED, ('Content-Length',)))),
    ('HEAD of a generator of known length', head(b'/sized'), keeps(head_reply(200, {'Content-Length': '6'}))),
    ('HEAD of a generator that would fail', head(b'/half'), keeps(head_reply(200, CHUNKED))),
    ('HEAD of 204', head(b'/status/204'), keeps(head_reply(204, {}, FRAMING))),
    ('HEAD in HTTP/1.0', head(b'/', b'1.0'), closes(head_reply(200, {'Content-Length': '5'}, version='1.0'))),
    ('HEAD in HTTP/1.0, kept', head(b'/', b'1.0', b'Connection: keep-alive\r\n'),
     keeps(head_reply(200, {'Content-Length': '5'}, version='1.0'))),
    ('HEAD of a generator in HTTP/1.0', head(b'/generator', b'1.0'),
     closes(head_reply(200, {}, FRAMING, '1.0'))),
    ('HEAD with a body too large', head(b'/', lines=b'Content-Length: 65\r\n'), closes(head_reply(413, {}))),
    ('HEAD with an unknown expectation', head(b'/', lines=b'Expect: other\r\n'), either(head_reply(417, {}))),
    # RFC 9110 sections 9.3.7 and 15.5.6
    ('OPTIONS', request(b'OPTIONS / HTTP/1.1'),
     keeps(Reply(200, b'', {'Allow': ('GET', 'HEAD', 'OPTIONS')}))),
    ('OPTIONS of another route', request(b'OPTIONS /stream HTTP/1.1'),
     keeps(Reply(200, b'', {'Allow': ('POST', 'OPTIONS')}))),
    ('OPTIONS of many methods', request(b'OPTIONS /body HTTP/1.1'), keeps(Reply(200, b'', {
        'Allow': ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY', 'HEAD', 'OPTIONS')}))),
    ('OPTIONS of an unknown path', request(b'OPTIONS /unknown HTTP/1.1'), keeps(Reply(404, b'Not found'))),
    ('OPTIONS *', request(b'OPTIONS * HTTP/1.1'), keeps(Reply(200, b'', {
        'Allow': ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY', 'HEAD', 'OPTIONS')}))),
    ('405', post(b'Content-Length: 0\r\n', b'', b'/'),
     keeps(Reply(405, b'Method not allowed', {'Allow': ('GET', 'HEAD', 'OPTIONS')}))),
    ('405 where there is no GET', get(b'/stream'), keeps(Reply(405, headers={'Allow': ('POST', 'OPTIONS')}))),
    # the texts of refusals
    ('400', request(b'GET'), closes(Reply(400, b'Bad request', {'Connection': 'close'}, version=None))),
    ('413', length(b'65'), closes(Reply(413, b'Payload too large', {'Connection': 'close'}))),
    ('414', request(line_of(200)), closes(Reply(414, None, {'Connection': 'close'}, version=None))),
    ('413 by the handler', get(b'/abort/413'), closes(Reply(413, b'413 error', {'Connection': 'close'}))),
    ('414 by the handler', get(b'/abort/414'), closes(Reply(414, b'414 error', {'Connection': 'close'}))),
)

CASES = RESPONSES

#: Cases in which the application fails, so that its exception is logged.
FAILING_CASES = (
    ('handler that raises', get(b'/raise'), keeps(Reply(500, b'Internal server error'))),
    ('handler that raises, then a request', get(b'/raise') + NEXT, keeps(Reply(500), HELLO)),
    # RFC 9112 section 8: the client can tell, because the last chunk or some of the body is missing
    ('generator that fails', get(b'/half'), closes(Reply(200, headers=CHUNKED, is_cut=True))),
    ('generator that fails, then a request', get(b'/half') + NEXT, closes(Reply(200, is_cut=True))),
    ('generator of known length that fails', get(b'/half-sized'), closes(Reply(200, is_cut=True))),
    ('generator that fails in HTTP/1.0', get10(b'/half'), closes(Reply(200, b'half', version='1.0'))),
)
