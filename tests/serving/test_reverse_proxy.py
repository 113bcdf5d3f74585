"""nginx with TLS before the server, by the configuration of docs/reverse-proxy.md."""

import http.client
import os
import ssl

import pytest
import trustme

from tests import nginx
from tests.serving.small_server import SOON, small_server

pytestmark = pytest.mark.skipif(not nginx.executable() and "CI" not in os.environ, reason=nginx.MISSING)


def test_the_example_with_tls_serves_the_app(tmp_path):
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with (
        small_server(tmp_path) as server,
        nginx.with_tls(f"http://127.0.0.1:{server.port}", tmp_path, certificate=pem) as port,
    ):
        client = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=SOON)
        for body in (b"abc", b"x" * 3_000_000):
            client.request("POST", "/body", body=body)
            answer = client.getresponse()
            assert answer.getheader("Strict-Transport-Security") == "max-age=31536000"
            assert answer.read() == str(len(body)).encode()
        client.close()
