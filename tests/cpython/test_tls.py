"""TLS on both interpreters: PEM files on CPython, DER files on MicroPython."""
import http.client
import socket
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from server_process import INTERPRETERS, ServerProcess, read_all


@pytest.fixture(scope='module')
def authority():
    return trustme.CA()


@pytest.fixture(params=INTERPRETERS)
def server(request, authority, tmp_path):
    certificate = authority.issue_cert('localhost', key_type=trustme.KeyType.ECDSA)
    cert_pem = certificate.cert_chain_pems[0].bytes()
    key_pem = certificate.private_key_pem.bytes()
    cert, key = tmp_path / 'cert', tmp_path / 'key'
    if request.param == 'cpython':
        cert.write_bytes(cert_pem)
        key.write_bytes(key_pem)
    else:
        der = serialization.Encoding.DER
        cert.write_bytes(x509.load_pem_x509_certificate(cert_pem).public_bytes(der))
        key.write_bytes(serialization.load_pem_private_key(key_pem, None).private_bytes(
            der, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
    client = ssl.create_default_context()
    authority.configure_trust(client)
    server = ServerProcess(request.param, client, str(cert), str(key))
    yield server
    server.process.kill()
    server.process.communicate()


def test_requests_over_one_connection(server):
    connection = http.client.HTTPSConnection('localhost', server.port, timeout=10, context=server.tls)
    for _ in range(3):
        connection.request('GET', '/scheme')
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b'https')
    connection.close()


def test_a_large_streamed_response_arrives_whole(server):
    data = server.get('/large')
    assert len(data) > 10_000_000
    assert data.endswith(b'0\r\n\r\n')


def test_clients_that_do_not_speak_tls_or_vanish_do_no_harm(server):
    before = server.descriptors_at_rest()
    for data in b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', b'', b'\x16\x03\x01', b'x' * 1000:
        with socket.create_connection(('127.0.0.1', server.port), timeout=10) as plain:
            plain.sendall(data)
            if len(data) > 3:
                assert b'200' not in read_all(plain)
    server.connect(b'GET / HT').close()
    server.wait_until(lambda: server.descriptors() == before, 20)
    assert server.answers()


def test_a_refusal_can_be_read(server):
    connection = server.connect(b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n' + b'x' * 5000)
    assert read_all(connection).startswith(b'HTTP/1.1 413 ')
    connection.close()
