"""The sockets that ``Microdot.run()`` listens on: addresses, paths, systemd's. CPython only."""
import errno
import os
import socket
import stat
import sys
from contextlib import contextmanager, suppress

if False:  # TYPE_CHECKING
    from collections.abc import Iterator
    from typing import Any

BACKLOG = 2048  # connections that wait to be accepted; the kernel caps it (net.core.somaxconn)


def unix_path(host: 'Any') -> str:
    """Return the path if ``host`` means a UNIX socket, else ``''``."""
    if not isinstance(host, str) or not host.startswith('unix:') and '/' not in host:
        return ''
    return os.path.abspath(host[5:] if host.startswith('unix:') else host)


def is_address(host: 'Any') -> bool:
    return host != 'systemd' and not isinstance(host, socket.socket) and not unix_path(host)


@contextmanager
def listening(host: 'Any', port: int, count: int) -> 'Iterator[list[list[socket.socket]]]':
    """Open the sockets; in the end close them, and remove the file of a UNIX socket if it is still the same."""
    slots = open_sockets(host, port, count)
    path = unix_path(host)
    identity = path and file_identity(path)
    try:
        yield slots
    finally:
        close_sockets(slots)
        with suppress(FileNotFoundError):
            if path and file_identity(path) == identity:
                os.unlink(path)


def file_identity(path: str) -> 'tuple[int, int]':
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns  # file systems use a number again


def close_sockets(slots: 'list[list[socket.socket]]') -> None:
    for sockets in slots:
        for sock in sockets:
            sock.close()


def open_sockets(host: 'Any', port: int, count: int) -> 'list[list[socket.socket]]':
    """Return the listening sockets for each of ``count`` processes, which may be the same for all.

    :param host: what :func:`microdot.workers.run_app` takes.
    :raises OSError: if one of them is in use.

    """
    if isinstance(host, socket.socket):
        return [[host]] * count
    if host == 'systemd':
        return [systemd_sockets()] * count
    path = unix_path(host)
    return [[open_unix_socket(path)]] * count if path else open_tcp_sockets(host, port, count)


def systemd_sockets() -> 'list[socket.socket]':
    """Return the sockets that systemd has passed to this process (sd_listen_fds(3)); its children get none."""
    pid, count, _ = (os.environ.pop('LISTEN_' + name, '') for name in ('PID', 'FDS', 'FDNAMES'))
    if pid != str(os.getpid()) or not count.isdigit() or int(count) < 1:
        raise RuntimeError("host='systemd', but systemd has passed no socket: is there a .socket unit, "
                           'and is this process the one that it has started?')
    sockets = [socket.socket(fileno=fd) for fd in range(3, 3 + int(count))]
    for sock in sockets:
        sock.set_inheritable(False)
        sock.setblocking(False)
    return sockets


def open_unix_socket(path: str) -> socket.socket:
    """Listen on a path, in place of a socket that nobody listens on any more."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, 'there is a file that is not a socket', path)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            if probe.connect_ex(path) != errno.ECONNREFUSED:
                raise OSError(errno.EADDRINUSE, 'another process listens there', path)
        os.unlink(path)
    return listen(socket.AF_UNIX, path)


def open_tcp_sockets(host: 'Any', port: int, count: int) -> 'list[list[socket.socket]]':
    """Listen on each address of a host; a port that the system chooses is the same for all."""
    slots: 'list[list[socket.socket]]' = [[] for _ in range(count)]
    failure: 'Any' = None
    for family, address in resolve(host, port):
        try:
            for sockets, sock in zip(slots, listen_many(family, (address[0], port, *address[2:]), count)):
                sockets.append(sock)
            port = slots[0][0].getsockname()[1]
        except OSError as exc:
            failure = exc
            if exc.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # as where there is no IPv6
                close_sockets(slots)
                raise
    if not slots[0]:
        raise failure
    return slots


def resolve(host: 'Any', port: int) -> 'list[tuple[int, Any]]':
    """Return pairs of address family and address; ``''`` and ``None`` are all interfaces."""
    found = {}
    for name in [host] if host is None or isinstance(host, str) else host:
        for info in socket.getaddrinfo(name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
            found[int(info[0]), info[4]] = True
    return list(found)


def listen_many(family: int, address: 'Any', count: int) -> 'list[socket.socket]':
    """Listen on an address with ``count`` sockets between which the kernel balances, or as many times the same one.

    The first one claims the port for this service alone, because it listens before it lets others share the port.
    Whoever else starts like this fails, at the same moment too.

    """
    sockets = [listen(family, address)]
    if count > 1 and sys.platform == 'linux':  # elsewhere SO_REUSEPORT does not balance
        sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            while len(sockets) < count:
                sockets.append(listen(family, sockets[0].getsockname(), True))
        except OSError:  # almost Linux, where the option has no effect after bind()
            close_sockets([sockets[1:]])
            del sockets[1:]
    return sockets if len(sockets) == count else sockets * count


def listen(family: int, address: 'Any', is_shared: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == 'posix':  # on Windows it would let others take the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
        return sock
    except OSError as exc:
        sock.close()
        raise OSError(exc.errno, 'cannot listen on %r: %s' % (address, exc.strerror or exc))
