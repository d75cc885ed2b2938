"""A large file over one and eight connections, against nginx."""
import hashlib
import os
import pathlib
import tempfile
from contextlib import ExitStack

from environment import find_tool
from measure import Client, Server
from peers import OURS, OURS_UVLOOP, Peer
from results import Samples
from settings import Settings

CONNECTIONS = (1, 8)
NGINX = '''
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
    server { listen 127.0.0.1:{port}; root .; }
}
'''


class Nginx(Peer):
    """Serves the directory that is its only argument, which gets the configuration too, because that holds the port."""

    def command(self, port: int) -> 'list[str]':
        directory = pathlib.Path(self.arguments[0])
        (directory / 'nginx.conf').write_text(NGINX.replace('{port}', str(port)))
        return [find_tool('nginx'), '-p', str(directory), '-c', str(directory / 'nginx.conf')]


def run(settings: Settings) -> dict:
    shared_memory = pathlib.Path('/dev/shm')
    with tempfile.TemporaryDirectory(dir=shared_memory if shared_memory.is_dir() else None) as directory:
        path = pathlib.Path(directory) / 'file'
        path.write_bytes(os.urandom(1 << 20) * settings.file_megabytes)
        return measure_all(path, settings)


def measure_all(path: pathlib.Path, settings: Settings) -> dict:
    samples = Samples()
    peers = settings.select((OURS, OURS_UVLOOP, Nginx('nginx', 'compiled', (str(path.parent),))))
    for _ in range(settings.rounds):
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(peer, BENCH_FILE=str(path))) for peer in peers]
            for server in servers:
                for url in paths(server.peer).values():
                    check(server, url, path)
            for connections in CONNECTIONS:
                for server in servers:
                    for how, url in paths(server.peer).items():
                        download(server, url, connections, settings.warm_up)
                        samples.add(server.peer.name, f'{connections}{how}',
                                    download(server, url, connections, settings.seconds))
    return samples.data


def paths(peer: Peer) -> 'dict[str, str]':
    """Map what is added to the name of the case to the path."""
    return {'': '/file', ', Static': '/static/file'} if peer.kind == 'ours' else {'': '/file'}


def check(server: Server, url: str, path: pathlib.Path) -> None:
    status, _, body = server.fetch(url)
    if status != 200 or hashlib.sha256(body).digest() != hashlib.sha256(path.read_bytes()).digest():
        server.fail(f'answers {url} with {status} and {len(body):,} bytes, which are not those of the file')


def download(server: Server, path: str, connections: int, seconds: float) -> 'dict[str, float]':
    before = server.rss()
    cpu = server.cpu_seconds()
    with Client('download', server.port, path, connections, seconds) as client:
        result = client.read()
        cpu = server.cpu_seconds() - cpu
        after = server.rss()
    megabytes = result['bytes'] / 1e6
    return {
        'mb_per_second': megabytes / result['seconds'],
        'cpu_ms_per_100_mb': cpu * 1000 / megabytes * 100,
        'rss_before_mb': before / 1e6,
        'rss_after_mb': after / 1e6,
        'rss_peak_mb': server.peak_rss() / 1e6,
    }
