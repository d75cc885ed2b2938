"""Who the client is when requests come through proxies: ``X-Forwarded-For`` and ``-Proto``, ``Forwarded`` (RFC 7239).

Every proxy on the way adds at the right end whom it got the request from. So the walk begins at the right, with what
the direct peer says, and goes on only as long as those who speak are trusted. What is further left is the client's
invention for all that we know. It is not even parsed, else a quote sent by a client could swallow what proxies append.

"""
import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from microdot.microdot import NOT_TOKEN, ProtocolError

if False:  # TYPE_CHECKING
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv4Address, IPv6Address
    from typing import Any

#: The host of peers that came over a UNIX socket, which have no address. nginx calls them the same.
UNIX_PEER = 'unix:'
#: WebSocket handshakes are requests of HTTP; some proxies (Traefik) name them by the scheme of their URL.
SCHEMES = {'http': 'http', 'https': 'https', 'ws': 'http', 'wss': 'https'}

MAPPED = ip_network('::ffff:0:0/96')  # RFC 4291 section 2.5.5.2
ESCAPED = re.compile(r'\\(.)')
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')  # RFC 9110 section 5.6.4
NODE = re.compile(r'(\[[0-9A-Fa-f:.]+\]|[0-9.]+|unknown|_[-._0-9A-Za-z]+)'  # RFC 7239 section 6
                  r'(?::(?:([0-9]{1,5})|_[-._0-9A-Za-z]+))?', re.A | re.I)


def parse_address(text: str) -> 'IPv4Address | IPv6Address':
    """Parse an address; IPv4 that is mapped into IPv6, as on sockets that serve both, is IPv4 again."""
    address = ip_address(text)
    return getattr(address, 'ipv4_mapped', None) or address


def parse_network(text: str) -> 'IPv4Network | IPv6Network':
    """Parse an address or a network such as ``10.0.0.0/8``; ``ValueError`` if bits of the host are set."""
    prefix = text.partition('/')[2]
    if prefix.strip('0123456789') or '%' in text:  # netmasks, zones
        raise ValueError('not an address or a network: %r' % text)
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):  # type: ignore[arg-type]
        mapped = network.network_address.ipv4_mapped
        return IPv4Network((int(mapped or 0), network.prefixlen - 96))
    return network


def split_from_right(text: str, separator: str) -> 'Iterator[str]':
    """Yield the parts of a list, the last one first. Separators within quoted strings do not count.

    Empty parts are left out (RFC 9110 section 5.6.1.2).

    """
    pieces: 'list[str]' = []
    is_open = False
    for piece in reversed(text.split(separator)):
        pieces.append(piece)
        if '"' in piece and ESCAPED.sub('', piece).count('"') % 2:
            is_open = not is_open
        if not is_open:
            part = separator.join(reversed(pieces)).strip(' \t')
            pieces.clear()
            if part:
                yield part
    if pieces:
        raise ProtocolError(400)


def parse_element(element: str) -> 'dict[str, str]':
    """Parse an element of ``Forwarded`` (RFC 7239 section 4) into its parameters, with names in lower case."""
    parameters: 'dict[str, str]' = {}
    for pair in split_from_right(element, ';'):
        name, _, value = pair.partition('=')
        name = name.lower()
        quoted = QUOTED.fullmatch(value)
        if quoted:
            value = ESCAPED.sub(r'\1', quoted[1])
        elif not value or NOT_TOKEN.search(value):
            raise ProtocolError(400)
        if not name or NOT_TOKEN.search(name) or name in parameters:
            raise ProtocolError(400)
        parameters[name] = value
    return parameters


def parse_node(text: str) -> 'tuple[str, int]':
    """Parse a node (RFC 7239 section 6) into host and port. The port is 0 where it is not known or obfuscated."""
    found = NODE.fullmatch(text)
    port = int(found[2] or 0) if found else 65536
    if not found or port > 65535:
        raise ProtocolError(400)
    host = found[1]
    if host[0] == '_':
        return host, port
    if host[0] in 'uU':
        return 'unknown', port
    try:
        address = parse_address(host.strip('[]'))
    except ValueError:
        raise ProtocolError(400) from None
    if (host[0] == '[') != (':' in host):
        raise ProtocolError(400)
    return str(address), port


def parse_hop(text: str) -> 'tuple[str, int]':
    """Parse a member of ``X-Forwarded-For``, for which there is no standard: IPv6 comes with and without brackets."""
    if text == UNIX_PEER:
        return UNIX_PEER, 0
    if text[0] in '_uU':
        raise ProtocolError(400)
    return parse_node('[%s]' % text if text.count(':') > 1 and text[0] != '[' else text)


def parse_scheme(text: str) -> str:
    scheme = SCHEMES.get(text.lower())
    if not scheme:
        raise ProtocolError(400)
    return scheme


def get_field(headers: 'Any', name: str) -> 'str | None':
    value: 'str | None' = headers.get(name.lower())
    return headers.get(name) if value is None else value


class TrustedProxies:
    """Finds out client and scheme from what trusted proxies say.

    :param proxies: addresses (``'127.0.0.1'``, ``'::1'``) and networks (``'10.0.0.0/8'``) of the proxies, ``'unix:'``
                    for whoever connects to a UNIX socket, ``'*'`` for everybody.

    ``ValueError`` for anything else, such as host names, or networks with bits of the host set.

    """
    #: Trusted proxies in a row that are believed; with more, which no network has, a request is refused. For those whom
    #: we trust, such as everybody with ``'*'``, could make us parse as many addresses as fit into a header block.
    max_hops = 100
    #: Addresses whose trust is remembered: the proxies, and the clients that were active last.
    max_known_hosts = 1024
    #: Headers whose meaning is remembered. Each may be as large as ``Request.max_header_size``.
    max_known_headers = 256

    def __init__(self, proxies: 'Iterable[str]'):
        if not isinstance(proxies, (list, tuple, set, frozenset)):
            raise ValueError('trusted proxies are a list of addresses and networks, not %r' % (proxies,))
        self._names: 'set[str]' = set()
        #: the bits of an address after its prefix and before it ends, and the prefixes of that length
        self._prefixes: 'dict[tuple[int, int], set[int]]' = {}
        for proxy in proxies:
            self._add(proxy)
        # The peer of every request is looked up, and requests of one client say the same: parse each only once
        self.is_trusted = lru_cache(self.max_known_hosts)(self._is_trusted)
        self._read_known = lru_cache(self.max_known_headers)(self._read)

    def _add(self, proxy: 'Any') -> None:
        if proxy in ('*', UNIX_PEER):
            self._names.add(proxy)
            return
        if not isinstance(proxy, str):
            raise ValueError('not an address or a network: %r' % (proxy,))
        network = parse_network(proxy)
        length = network.max_prefixlen
        bits = length - network.prefixlen
        self._prefixes.setdefault((bits, length), set()).add(int(network.network_address) >> bits)

    def _is_trusted(self, host: str) -> bool:
        if '*' in self._names or host in self._names:
            return True
        try:
            address = parse_address(host)
        except ValueError:  # 'unknown', obfuscated
            return False
        number = int(address)
        return any(length == address.max_prefixlen and number >> bits in prefixes
                   for (bits, length), prefixes in self._prefixes.items())

    def resolve(self, client_addr: 'Any', scheme: str, headers: 'Any') -> 'tuple[Any, str]':
        """Return the address of the client and the scheme that it used.

        :param client_addr: host and port of the peer.
        :param scheme: the scheme of the connection, ``'http'`` or ``'https'``.
        :param headers: those of the request, with names in lower case, as they are usually spelled, or a
                        :class:`NoCaseDict`.

        Both are returned as they are if the peer is not trusted or says nothing. The port is 0 where it is not known,
        the host is ``'unknown'`` or begins with ``_`` where a proxy does not tell it (RFC 7239 section 6).
        ``ProtocolError(400)`` if a trusted proxy sent something malformed or contradictory.

        """
        if not self.is_trusted(client_addr[0]):
            return client_addr, scheme
        forwarded_for = get_field(headers, 'X-Forwarded-For')
        forwarded_proto = get_field(headers, 'X-Forwarded-Proto')
        forwarded = get_field(headers, 'Forwarded')
        if forwarded_for is None and forwarded_proto is None and forwarded is None:
            return client_addr, scheme
        client, scheme = self._read_known(scheme, forwarded_for, forwarded_proto, forwarded)
        return client or client_addr, scheme

    def _read(self, scheme: str, forwarded_for: 'str | None', forwarded_proto: 'str | None',
              forwarded: 'str | None') -> 'tuple[tuple[str, int] | None, str]':
        """Return the client (``None`` if it is the peer) and the scheme."""
        if forwarded is None:
            return self._read_x_forwarded(scheme, forwarded_for or '', forwarded_proto or '')
        client, client_scheme = self._read_forwarded(scheme, forwarded)
        if forwarded_for is not None or forwarded_proto is not None:
            # Most proxies know one of the two families and pass the other one on as the client sent it. Which one they
            # know cannot be told here. So each alone has to give the same, or one of them is the client's forgery;
            # whatever a client adds then, the worst that it can get is its own 400.
            other, other_scheme = self._read_x_forwarded(scheme, forwarded_for or '', forwarded_proto or '')
            client = join_clients(client, other)
            if client_scheme != other_scheme:
                raise ProtocolError(400)
        return client, client_scheme

    def _hops(self, text: str) -> 'Iterator[str]':
        for count, hop in enumerate(split_from_right(text, ',')):
            if count == self.max_hops:
                raise ProtocolError(400)
            yield hop

    def _read_x_forwarded(self, scheme: str, forwarded_for: str,
                          forwarded_proto: str) -> 'tuple[tuple[str, int] | None, str]':
        client = None
        for hop in self._hops(forwarded_for):
            client = parse_hop(hop)
            if not self.is_trusted(client[0]):
                break
        # The last value is the one of our peer, whether it appends or overwrites. If all proxies appended, the value
        # for the client that was found would be as far from the right as its address is. But if one of them appends to
        # X-Forwarded-For only, which is usual, then what the client itself sent is in that place.
        for value in split_from_right(forwarded_proto, ','):
            return client, parse_scheme(value)
        return client, scheme

    def _read_forwarded(self, scheme: str, forwarded: str) -> 'tuple[tuple[str, int] | None, str]':
        client = proto = None
        for element in self._hops(forwarded):
            parameters = parse_element(element)
            proto = parameters.get('proto')
            if 'for' not in parameters:  # the trusted one who wrote this is the last who is known
                break
            client = parse_node(parameters['for'])
            if not self.is_trusted(client[0]):
                break
        return client, scheme if proto is None else parse_scheme(proto)


def join_clients(one: 'tuple[str, int] | None', other: 'tuple[str, int] | None') -> 'tuple[str, int] | None':
    """Return what two sources say about a client; ``ProtocolError`` if they do not agree."""
    if one is None or other is None:
        if one is not other:
            raise ProtocolError(400)
        return None
    host, port = one
    if host != other[0] or (port and other[1] and port != other[1]):
        raise ProtocolError(400)
    return host, port and other[1]
