"""Who the client is behind trusted proxies. Examples first, then whatever text an attacker may send."""
import time
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from microdot.forwarded import TrustedProxies
from microdot.microdot import NoCaseDict, ProtocolError

PEER = ('10.0.0.1', 4711)
PROXIES = TrustedProxies(['10.0.0.0/8', '192.0.2.1', '2001:db8::/32'])


def resolve(headers, peer=PEER, scheme='http', proxies=PROXIES):
    return proxies.resolve(peer, scheme, NoCaseDict(headers))


def client(**headers):
    """Return the host and port found in headers such as ``x_forwarded_for``."""
    return resolve({name.replace('_', '-'): value for name, value in headers.items()})[0]


def scheme(**headers):
    return resolve({name.replace('_', '-'): value for name, value in headers.items()})[1]


def is_refused(headers, peer=PEER, proxies=PROXIES):
    with pytest.raises(ProtocolError) as error:
        resolve(headers, peer, proxies=proxies)
    return error.value.args == (400,)


# Who is trusted

@pytest.mark.parametrize('proxies, host', [
    (['127.0.0.1'], '127.0.0.1'),
    (['127.0.0.1'], '::ffff:127.0.0.1'),  # a socket for IPv4 and IPv6
    (['::ffff:127.0.0.1'], '127.0.0.1'),
    (['::ffff:10.0.0.0/104'], '10.255.0.1'),
    (['10.0.0.0/8'], '10.255.255.255'),
    (['0.0.0.0/0'], '8.8.8.8'),
    (['192.0.2.1', '192.0.2.4/30'], '192.0.2.7'),
    (['::1'], '::1'),
    (['::1'], '0:0:0:0:0:0:0:1'),
    (['2001:DB8::/32'], '2001:db8:ffff::1'),
    (['fe80::/10'], 'fe80::1%eth0'),  # a peer in the same network
    (['unix:'], 'unix:'),
    (['*'], '8.8.8.8'), (['*'], '::1'), (['*'], 'unix:'), (['*'], 'unknown'),
    (('::1',), '::1'), ({'::1'}, '::1'), (frozenset(['::1']), '::1'),
])
def test_trusted(proxies, host):
    assert TrustedProxies(proxies).is_trusted(host)


@pytest.mark.parametrize('proxies, host', [
    ([], '127.0.0.1'),
    (['127.0.0.1'], '127.0.0.2'),
    (['10.0.0.0/8'], '11.0.0.0'),
    (['10.0.0.0/8'], '9.255.255.255'),
    (['0.0.0.0/0'], '::1'),
    (['::/0'], '127.0.0.1'),
    (['::/0'], '::ffff:127.0.0.1'),  # counts as IPv4
    (['::ffff:10.0.0.0/104'], '11.0.0.1'),
    (['0.0.0.1'], '::1'),  # the same number
    (['127.0.0.1', '0.0.0.0/0', '::/0'], 'unix:'),
    (['unix:'], '127.0.0.1'),
    (['0.0.0.0/0', '::/0', 'unix:'], 'unknown'),
    (['0.0.0.0/0', '::/0', 'unix:'], '_hidden'),
    (['0.0.0.0/0', '::/0', 'unix:'], ''),
    (['0.0.0.0/0', '::/0', 'unix:'], '1.2.3.4/0'),
])
def test_not_trusted(proxies, host):
    assert not TrustedProxies(proxies).is_trusted(host)


@pytest.mark.parametrize('proxies', [
    '127.0.0.1', '*', b'127.0.0.1', None, 7, {'127.0.0.1': 1}, (c for c in ['*']),
    ['localhost'], ['proxy.example'], [''], ['10.0.0.1/8'], ['2001:db8::1/32'], ['10.0.0.0/33'], ['::/129'],
    ['10.0.0.0/255.0.0.0'], ['10.0.0.0/0.255.255.255'], ['10.0.0.0/'], ['/8'], ['10.0.0.0/-8'], ['10.0.0.0/8/8'],
    ['10.0.0'], ['010.0.0.1'], ['10'], ['0x7f000001'], [' 127.0.0.1'], ['127.0.0.1 '], ['127.0.0.1:80'], ['[::1]'],
    ['fe80::1%eth0'], ['unix:/run/app.sock'], ['unix'], ['UNIX:'], ['**'], [None], [2130706433], [b'::1'], [[]],
    ['127.0.0.1', 'localhost'], ['127.0.0.1,::1'], ['10.0.0.0/٨'],
])
def test_what_is_no_proxy(proxies):
    with pytest.raises(ValueError):
        TrustedProxies(proxies)


def test_a_network_of_many_prefixes():
    proxies = TrustedProxies(['10.%d.0.0/16' % i for i in range(0, 250, 2)] + ['192.0.2.%d' % i for i in range(99)])
    assert proxies.is_trusted('10.248.7.7')
    assert not proxies.is_trusted('10.249.7.7')
    assert proxies.is_trusted('192.0.2.98')
    assert not proxies.is_trusted('192.0.2.99')


# Peers, and silence

def test_a_peer_that_is_not_trusted_changes_nothing():
    peer = ('8.8.8.8', 1)
    for headers in ({'X-Forwarded-For': '1.2.3.4'}, {'X-Forwarded-Proto': 'https'}, {'Forwarded': 'for=1.2.3.4'},
                    {'X-Forwarded-For': 'nonsense', 'Forwarded': '"'}):
        assert resolve(headers, peer) == (peer, 'http')


def test_a_trusted_peer_that_says_nothing_is_the_client():
    for headers in ({}, {'X-Forwarded-For': ''}, {'X-Forwarded-For': ' , '}, {'Forwarded': ''},
                    {'X-Forwarded-Proto': ''}, {'X-Real-IP': '1.2.3.4'}, {'X-Forwarded-Host': 'a'}):
        assert resolve(headers) == (PEER, 'http')
        assert resolve(headers, scheme='https') == (PEER, 'https')


def test_an_address_of_four_parts_stays_as_it_is():
    peer = ('::1', 4711, 0, 0)  # what a socket of IPv6 gives
    assert resolve({}, peer)[0] is peer
    assert resolve({'X-Forwarded-For': '1.2.3.4'}, peer)[0] is peer
    assert resolve({'X-Forwarded-For': '1.2.3.4'}, peer, proxies=TrustedProxies(['::1'])) == (('1.2.3.4', 0), 'http')


def test_a_unix_socket():
    proxies = TrustedProxies(['unix:'])
    assert resolve({'X-Forwarded-For': '1.2.3.4'}, ('unix:', 0), proxies=proxies) == (('1.2.3.4', 0), 'http')
    # nginx behind another proxy on a UNIX socket
    assert resolve({'X-Forwarded-For': '1.2.3.4, unix:'}, ('unix:', 0), proxies=proxies) == (('1.2.3.4', 0), 'http')
    assert resolve({'X-Forwarded-For': '1.2.3.4, unix:'}) == (('unix:', 0), 'http')


# X-Forwarded-For

@pytest.mark.parametrize('value, expected', [
    ('1.2.3.4', ('1.2.3.4', 0)),
    ('1.2.3.4:567', ('1.2.3.4', 567)),
    ('1.2.3.4:0', ('1.2.3.4', 0)),
    ('1.2.3.4:65535', ('1.2.3.4', 65535)),
    ('::1', ('::1', 0)),
    ('[::1]', ('::1', 0)),
    ('[::1]:567', ('::1', 567)),
    ('2001:DB9:0:0:0:0:0:1', ('2001:db9::1', 0)),
    ('::ffff:1.2.3.4', ('1.2.3.4', 0)),
    ('[::ffff:1.2.3.4]:80', ('1.2.3.4', 80)),
    ('::ffff:102:304', ('1.2.3.4', 0)),
    ('::1.2.3.4', ('::102:304', 0)),  # not mapped
    (' \t1.2.3.4\t ', ('1.2.3.4', 0)),
    (',1.2.3.4 ,, ', ('1.2.3.4', 0)),
    ('8.8.8.8, 1.2.3.4', ('1.2.3.4', 0)),
    ('8.8.8.8,1.2.3.4,10.0.0.9,[2001:db8::9]:80, 192.0.2.1:1', ('1.2.3.4', 0)),
    ('8.8.8.8, 1.2.3.4, ::ffff:10.0.0.9', ('1.2.3.4', 0)),
    ('10.0.0.7', ('10.0.0.7', 0)),
    ('10.0.0.7:99, 10.0.0.8, 10.0.0.9', ('10.0.0.7', 99)),  # all trusted
    ('nonsense, 1.2.3.4', ('1.2.3.4', 0)),
    ('", 1.2.3.4', ('1.2.3.4', 0)),
    ('"\\, 1.2.3.4', ('1.2.3.4', 0)),
    ('unknown, 1.2.3.4, 10.0.0.9', ('1.2.3.4', 0)),
    ('10.0.0.9, nonsense, 1.2.3.4, 10.0.0.9', ('1.2.3.4', 0)),
])
def test_x_forwarded_for(value, expected):
    assert resolve({'X-Forwarded-For': value}) == (expected, 'http')


MALFORMED_ADDRESSES = [
    'nonsense', 'localhost', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1.2.3.4/8', '1.2.3.4:', '1.2.3.4:x',
    '1.2.3.4:65536', '1.2.3.4:-1', '1.2.3.4:+1', '1.2.3.4:1_0', '1.2.3.4:000080', '1.2.3.4:80:80', '1.2.3.4 5',
    '[1.2.3.4]', '[1.2.3.4]:80', '[::1', '::1]', '[[::1]]', '[::1]80', '[::1]:', '[]', '[]:80', ':', ':80', '::1:::',
    '[fe80::1%eth0]', 'fe80::1%<b>', 'unix:/run/app.sock', '٨.8.8.8', '1.2.3.4:٨', '"1.2.3.4"', '"', "'1.2.3.4'",
    '1.2.3.4;', '*', '-',
]


@pytest.mark.parametrize('value', MALFORMED_ADDRESSES + ['unknown', '_hidden', 'UNKNOWN', 'un\u212anown'])
def test_a_malformed_address(value):
    assert is_refused({'X-Forwarded-For': value})
    assert is_refused({'X-Forwarded-For': '1.2.3.4, ' + value})
    assert is_refused({'X-Forwarded-For': '1.2.3.4, %s, 10.0.0.9' % value})
    assert client(x_forwarded_for=value + ', 1.2.3.4') == ('1.2.3.4', 0)


def test_everybody_is_trusted():
    proxies = TrustedProxies(['*'])
    peer = ('8.8.8.8', 7)
    assert resolve({'X-Forwarded-For': '1.2.3.4, 5.6.7.8'}, peer, proxies=proxies) == (('1.2.3.4', 0), 'http')
    assert resolve({'Forwarded': 'for=_a, for=unknown'}, peer, proxies=proxies) == (('_a', 0), 'http')


def test_a_chain_without_end():
    for name, hop in ('X-Forwarded-For', '10.0.0.9'), ('Forwarded', 'for=10.0.0.9;proto=https'):
        assert resolve({name: ', '.join([hop] * 100)})[0] == ('10.0.0.9', 0)
        assert is_refused({name: ', '.join([hop] * 101)})
        assert resolve({name: 'for=1.2.3.4, ' * 1000 + hop.replace('10.0.0.9', '8.8.8.8')})[0] == ('8.8.8.8', 0)


# X-Forwarded-Proto

@pytest.mark.parametrize('value, expected', [
    ('https', 'https'), ('http', 'http'), ('HTTPS', 'https'), (' https ', 'https'),
    ('wss', 'https'), ('ws', 'http'),
    ('https, http', 'http'),  # a client that sends "https" through a proxy that appends
    ('http, https', 'https'),
    ('nonsense, https', 'https'),
    ('https,', 'https'),
    (', ', 'http'),
])
def test_x_forwarded_proto(value, expected):
    assert resolve({'X-Forwarded-Proto': value}) == (PEER, expected)


def test_a_proxy_may_do_tls_to_us_and_not_to_the_client():
    assert resolve({'X-Forwarded-Proto': 'http'}, scheme='https') == (PEER, 'http')


@pytest.mark.parametrize('value', ['nonsense', 'ftp', 'https, nonsense', 'https:', '"https"', 'https http', 'on'])
def test_a_malformed_scheme(value):
    assert is_refused({'X-Forwarded-Proto': value})


def test_a_scheme_of_the_client_is_not_taken_for_the_one_of_an_outer_proxy():
    """The outer proxy appends to both, the inner one to X-Forwarded-For only; the client sent "https"."""
    headers = {'X-Forwarded-For': '1.2.3.4, 10.0.0.9', 'X-Forwarded-Proto': 'https, http'}
    assert resolve(headers) == (('1.2.3.4', 0), 'http')


# Forwarded

@pytest.mark.parametrize('value, host, port, expected_scheme', [
    ('for=1.2.3.4', '1.2.3.4', 0, 'http'),
    ('For="1.2.3.4"', '1.2.3.4', 0, 'http'),
    ('FOR="1.2.3.4:567";PROTO=HTTPS', '1.2.3.4', 567, 'https'),
    ('for="[::1]"', '::1', 0, 'http'),
    ('for="[2001:DB9::1]:80"', '2001:db9::1', 80, 'http'),
    ('for="[::ffff:1.2.3.4]"', '1.2.3.4', 0, 'http'),
    ('for="1\\.2.3\\.4"', '1.2.3.4', 0, 'http'),  # quoted pairs
    ('for=unknown', 'unknown', 0, 'http'),
    ('for=Unknown;proto=https', 'unknown', 0, 'https'),
    ('for="unknown:80"', 'unknown', 80, 'http'),
    ('for=_hidden', '_hidden', 0, 'http'),
    ('for="_SEVKISEK.-_:80"', '_SEVKISEK.-_', 80, 'http'),
    ('for="1.2.3.4:_port"', '1.2.3.4', 0, 'http'),
    ('for=1.2.3.4;by=203.0.113.43;proto=https;host="a.example:80"', '1.2.3.4', 0, 'https'),
    ('by="_a,b;c\\"d\\\\";for=1.2.3.4;secret="";proto="https"', '1.2.3.4', 0, 'https'),
    ('for=1.2.3.4; proto=https', '1.2.3.4', 0, 'https'),
    (';;for=1.2.3.4;', '1.2.3.4', 0, 'http'),
    (', for=1.2.3.4,, ', '1.2.3.4', 0, 'http'),
    ('for=8.8.8.8, for=1.2.3.4', '1.2.3.4', 0, 'http'),
    ('for=8.8.8.8;proto=https, for=1.2.3.4', '1.2.3.4', 0, 'http'),
    ('for=1.2.3.4;proto=https,for=10.0.0.9;proto=http', '1.2.3.4', 0, 'https'),
    ('for=1.2.3.4,for=10.0.0.9;proto=https', '1.2.3.4', 0, 'http'),  # one says nothing about the other
    ('for=10.0.0.7;proto=https, for="[2001:db8::1]"', '10.0.0.7', 0, 'https'),  # all trusted
    ('for=unknown;proto=https, for=10.0.0.9', 'unknown', 0, 'https'),
    ('for=8.8.8.8, for=unknown', 'unknown', 0, 'http'),
    ('for=8.8.8.8, for=_hidden, for=10.0.0.9', '_hidden', 0, 'http'),
    ('for=8.8.8.8, proto=https, for=10.0.0.9', '10.0.0.9', 0, 'https'),
    ('for=8.8.8.8, proto=https', *PEER, 'https'),
    ('proto=https', *PEER, 'https'),
    ('host=a', *PEER, 'http'),
    # the client sent a quote that is not closed, and more
    ('for=", for=1.2.3.4', '1.2.3.4', 0, 'http'),
    ('for="8.8.8.8, for="1.2.3.4"', '1.2.3.4', 0, 'http'),
    ('for="\\, for="1.2.3.4"', '1.2.3.4', 0, 'http'),
    ('for="\\", for="1.2.3.4:5";by=","', '1.2.3.4', 5, 'http'),
    ('nonsense, for=1.2.3.4', '1.2.3.4', 0, 'http'),
    ('for=1.2.3.4;proto=nonsense, for=10.0.0.9;proto=nonsense, for=9.9.9.9', '9.9.9.9', 0, 'http'),
])
def test_forwarded(value, host, port, expected_scheme):
    assert resolve({'Forwarded': value}) == ((host, port), expected_scheme)


@pytest.mark.parametrize('value', [
    'for', 'for=', '=1.2.3.4', 'for =1.2.3.4', 'for= 1.2.3.4', 'for="1.2.3.4', 'for=1.2.3.4"', 'for="1.2.3.4"x',
    'for=""', 'for="\\"', 'for=1.2.3.4;for=1.2.3.4', 'for=1.2.3.4;For=8.8.8.8', 'for=[::1]', 'for=::1', 'for="::1"',
    'for=1.2.3.4:80', 'for="[1.2.3.4]"', 'for="1.2.3.4:"', 'for=_', 'for="_a b"', 'for="_\u017f"', 'for="unknownx"',
    'for="un\u212anown"', 'for="_a:65536"', 'for="1.2.3.4:_"', 'for=1.2.3.4;proto', 'for=1.2.3.4;proto=',
    'for=1.2.3.4;proto="ht', 'for=1.2.3.4;proto=ftp', 'for=1.2.3.4;proto=""', 'for=1.2.3.4;b@d=x', 'for=1.2.3.4 by=x',
    'for=1.2.3.4;host=a b', 'for=1.2.3.4;host="a\\', '1.2.3.4', 'for=unix:', 'for="unix:"', 'for="1.2.3.4, 5.6.7.8"',
    *['for="%s"' % address.replace('"', '\\"') for address in MALFORMED_ADDRESSES],
])
def test_a_malformed_element(value):
    assert is_refused({'Forwarded': value})
    assert is_refused({'Forwarded': 'for=8.8.8.8, %s, for=10.0.0.9' % value})
    assert client(forwarded=value + ', for=1.2.3.4') == ('1.2.3.4', 0)


# Both

@pytest.mark.parametrize('headers, expected', [
    ({'X-Forwarded-For': '1.2.3.4', 'Forwarded': 'for=1.2.3.4'}, (('1.2.3.4', 0), 'http')),
    ({'X-Forwarded-For': '::ffff:1.2.3.4', 'Forwarded': 'for="1.2.3.4"'}, (('1.2.3.4', 0), 'http')),
    ({'X-Forwarded-For': '8.8.8.8, 1.2.3.4, 10.0.0.9', 'Forwarded': 'for=1.2.3.4'}, (('1.2.3.4', 0), 'http')),
    ({'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Proto': 'https', 'Forwarded': 'for=1.2.3.4;proto=https'},
     (('1.2.3.4', 0), 'https')),
    ({'X-Forwarded-For': '1.2.3.4', 'Forwarded': 'for=1.2.3.4;proto=http'}, (('1.2.3.4', 0), 'http')),
    ({'X-Forwarded-For': '1.2.3.4:5', 'Forwarded': 'for="1.2.3.4:5"'}, (('1.2.3.4', 5), 'http')),
    ({'X-Forwarded-For': '1.2.3.4:5', 'Forwarded': 'for="1.2.3.4"'}, (('1.2.3.4', 0), 'http')),
    ({'X-Forwarded-Proto': 'https', 'Forwarded': 'proto=https'}, (PEER, 'https')),
    ({'X-Forwarded-For': '', 'Forwarded': ''}, (PEER, 'http')),
])
def test_both_families_agree(headers, expected):
    assert resolve(headers) == expected


@pytest.mark.parametrize('headers', [
    {'X-Forwarded-For': '1.2.3.4', 'Forwarded': 'for=8.8.8.8'},
    {'X-Forwarded-For': '1.2.3.4', 'Forwarded': 'for=unknown'},
    {'X-Forwarded-For': '1.2.3.4:5', 'Forwarded': 'for="1.2.3.4:6"'},
    {'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Proto': 'http', 'Forwarded': 'for=1.2.3.4;proto=https'},
    # One of them alone would be believed, so silence of the other one is a contradiction too
    {'X-Forwarded-For': '1.2.3.4', 'Forwarded': 'for=1.2.3.4;proto=https'},
    {'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Proto': 'https', 'Forwarded': 'for=1.2.3.4'},
    {'X-Forwarded-Proto': 'http', 'Forwarded': 'for=8.8.8.8'},
    {'X-Forwarded-For': '1.2.3.4', 'Forwarded': ''},
    {'X-Forwarded-For': '', 'Forwarded': 'for=8.8.8.8'},
    {'X-Forwarded-For': '1.2.3.4', 'Forwarded': '"'},
    {'X-Forwarded-For': '"', 'Forwarded': 'for=1.2.3.4'},
])
def test_both_families_contradict(headers):
    assert is_refused(headers)


# Any text

HOSTS = ['1.2.3.4', '8.8.8.8', '10.0.0.9', '2001:db8::9', '::1', '::ffff:10.0.0.9']
#: pieces that make values which are almost well-formed
PIECES = [*HOSTS, 'for=', 'proto=', 'https', 'http', 'unknown', '_a', '"', '\\', ',', ', ', ';', '=', ':', '[', ']',
          ' ', '80', '.', '%', 'unix:', 'for="[::1]:80"', 'for=10.0.0.9']
values = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map(''.join))
names = st.sampled_from(['X-Forwarded-For', 'x-forwarded-proto', 'Forwarded'])
headers_of_an_attacker = st.dictionaries(names, values)
addresses = st.one_of(st.sampled_from(HOSTS), st.ip_addresses().map(str))


def attempt(headers, **kwargs):
    """Return what comes out, ``None`` for a refusal."""
    try:
        return resolve(headers, **kwargs)
    except ProtocolError as exc:
        assert exc.args == (400,)
        return None


def canonical(host):
    address = ip_address(host)
    return getattr(address, 'ipv4_mapped', None) or address


def is_proxy(host):
    """A second opinion."""
    address = canonical(host)
    return any(address in network for network in map(ip_network, ['10.0.0.0/8', '192.0.2.1', '2001:db8::/32'])
               if network.version == address.version)


@given(headers_of_an_attacker)
def test_whatever_comes_is_an_answer_or_a_refusal(headers):
    for proxies in PROXIES, TrustedProxies(['*']), TrustedProxies(['10.0.0.1', 'unix:']):
        found = attempt(headers, proxies=proxies)
        if found:
            (host, port), scheme = found
            assert scheme in ('http', 'https')
            assert 0 <= port < 65536
            if host not in ('unknown', 'unix:') and host[0] != '_':
                assert str(canonical(host)) == host
            assert attempt(headers, proxies=proxies) == found  # also from the cache


@given(headers_of_an_attacker, addresses, st.sampled_from(['http', 'https']))
def test_a_peer_that_is_not_trusted_never_changes_anything(headers, host, scheme):
    assume(not is_proxy(host))
    peer = (host, 5)
    assert resolve(headers, peer=peer, scheme=scheme) == (peer, scheme)


@given(addresses)
def test_trust_agrees_with_the_standard_library(host):
    assert PROXIES.is_trusted(host) == is_proxy(host)


def quote(host):
    return '"[%s]"' % host if ':' in host else host


def send(headers, sender, scheme, knows, appends_proto):
    """What a proxy makes of a request: it tells whom it came from, in the families that it knows."""
    headers = NoCaseDict(headers)

    def append(name, value):
        headers[name] = headers[name] + ', ' + value if name in headers else value

    if knows == 'Forwarded':
        append('Forwarded', 'for=%s;proto=%s' % (quote(sender), scheme))
    else:
        append('X-Forwarded-For', sender)
        if not appends_proto:
            headers.pop('X-Forwarded-Proto', None)
        append('X-Forwarded-Proto', scheme)
    return headers


chains = st.lists(st.sampled_from(['10.0.0.2', '10.0.0.3', '2001:db8::1', '192.0.2.1']), max_size=3)


@given(headers_of_an_attacker, addresses, chains, st.sampled_from(['X-Forwarded', 'Forwarded']), st.booleans(),
       st.sampled_from(['http', 'https']))
def test_an_attacker_cannot_choose_who_it_is(headers, attacker, chain, knows, appends_proto, scheme):
    """Through proxies that append: the answer is the address that it really has, or a refusal."""
    assume(not is_proxy(attacker))
    for sender in [attacker, *chain]:
        headers = send(headers, sender, scheme, knows, appends_proto)
    found = attempt(headers)
    assert found in (None, ((str(canonical(attacker)), 0), scheme))
    family = [name for name in headers if name.lower().startswith('x-') == (knows == 'Forwarded')]
    if not family:  # nothing of the family that the proxies do not know: not even a refusal
        assert found


@given(headers_of_an_attacker, headers_of_an_attacker)
def test_adding_a_family_changes_nothing_or_is_refused(headers, more):
    for family in 'x-', 'fo':
        one = {name: value for name, value in headers.items() if name.lower().startswith(family)}
        other = {name: value for name, value in more.items() if not name.lower().startswith(family)}
        if one and other:
            alone, both = attempt(one), attempt({**one, **other})
            assert not both or (alone and both[1] == alone[1] and both[0][0] == alone[0][0]
                                and both[0][1] in (0, alone[0][1]))


# Cost

def cost(name, value, proxies):
    """Return the processor time of a refusal or an answer, the best of two."""
    times = []
    for i in range(2):
        headers = NoCaseDict({name: value + ' ' * i})  # not from the cache
        begin = time.process_time()
        attempt(headers, proxies=proxies)
        times.append(time.process_time() - begin)
    return min(times)


@pytest.mark.parametrize('unit', [
    '1.1.1.1,', '10.1.1.1, ', '::,', ',', '"', '",', '\\', '\\",', '"\\', ' ', ' ,', 'for=10.1.1.1,', 'for="10.1.1.1",',
    'for=', 'for', '=', ';', '; ', 'a=b;', 'for=1.1.1.1 ', 'a="', 'a="b', ':', '[', '1', '.', '_', 'for=_',
    'for="\\1', 'x="\\",',
])
@pytest.mark.parametrize('name', ['X-Forwarded-For', 'X-Forwarded-Proto', 'Forwarded'])
def test_cost_is_linear(name, unit):
    """Eight times as much text takes about that many times as long, and nowhere near 64 times."""
    for proxies in PROXIES, TrustedProxies(['*']):
        for begin, end in ('', ''), ('for="', '"'), ('', '"'), ('[', ']'), ('_', ''):
            small, large = (begin + unit * (size // len(unit)) + end for size in (8_000, 64_000))
            large_cost = cost(name, large, proxies)
            assert large_cost < 0.01 or large_cost < 30 * cost(name, small, proxies)


def test_what_is_remembered_is_bounded():
    proxies = TrustedProxies(['10.0.0.0/8'])
    for i in range(5000):
        resolve({'X-Forwarded-For': '10.%d.%d.1' % (i // 256, i % 256)}, proxies=proxies)
    assert proxies.is_trusted.cache_info().currsize == TrustedProxies.max_known_hosts
    assert proxies._read_known.cache_info().currsize == TrustedProxies.max_known_headers
