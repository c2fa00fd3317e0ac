"""A stand-in for a time-stamping authority: `openssl ts` behind a small HTTP server on loopback."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

_CONFIG = """
[tsa]
serial = {folder}/serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
crypto_device = builtin
"""


_REFUSAL = bytes.fromhex("3009300702010203020780")
"""PKIStatusInfo: rejection, with the failure badAlg (RFC 3161 s.2.4.2)."""


class Authority:
    """Keys and certificates of an authority in a folder; answers requests.

    Args:
        folder: to be made.
        chain: whether answers hold the root's certificate, too; OpenSSL 3 does not sort the two.
    """

    def __init__(self, folder: Path, *, chain: bool = False) -> None:
        folder.mkdir()
        self._chain = ("-chain", "root.pem") if chain else ()
        self.folder = folder
        self.root = folder / "root.pem"
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_CONFIG.format(folder=folder))
        (folder / "usage").write_text("extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n")
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self._openssl("req", "-x509", *new, "-days", "2", "-subj", "/CN=TEST_ONLY root", "-keyout", "root-key.pem",
                      "-out", "root.pem")  # fmt: skip
        self._openssl("req", *new, "-subj", "/CN=TEST_ONLY TSA", "-keyout", "TEST_ONLY_key.pem", "-out", "tsa.csr")
        self._openssl("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root-key.pem", "-CAcreateserial",
                      "-days", "2", "-extfile", "usage", "-out", "tsa.pem")  # fmt: skip

    def answer(self, query: bytes) -> bytes:
        """The answer to a request, DER."""
        (self.folder / "query.tsq").write_bytes(query)
        with_key = ("-signer", "tsa.pem", "-inkey", "TEST_ONLY_key.pem", *self._chain)
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-section", "tsa", "-queryfile", "query.tsq", *with_key,
                      "-out", "answer.tsr")  # fmt: skip
        return (self.folder / "answer.tsr").read_bytes()

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/timestamp-query"
        self.server.respond(self, query)

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    """`how`: well, or a word of what is wrong."""

    daemon_threads = True

    def __init__(self, authority: Authority, how: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.authority = authority
        self.how = how
        self.released = threading.Event()

    def respond(self, handler: http.server.BaseHTTPRequestHandler, query: bytes) -> None:
        if self.how == "status":
            handler.send_error(503)
            return
        if self.how == "redirect":
            handler.send_response(302)
            handler.send_header("Location", "http://elsewhere.example")
            handler.end_headers()
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html" if self.how == "page" else "application/timestamp-reply")
        handler.end_headers()
        if self.how == "dribbles":  # a byte now and then, and no end
            while not self.released.wait(0.05):
                try:
                    handler.wfile.write(b"0")
                except OSError:
                    return
            return
        if self.how == "flood":
            handler.wfile.write(bytes(1 << 17))
        elif self.how == "garbage":
            handler.wfile.write(b"\x30\x03\x02\x01\x00")
        elif self.how == "refuses":
            handler.wfile.write(_REFUSAL)
        else:
            handler.wfile.write(self.authority.answer(query))


@contextmanager
def serving(authority: Authority, how: str = "well") -> Iterator[str]:
    """The authority's address while it serves."""
    server = _Server(authority, how)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/tsr"
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
