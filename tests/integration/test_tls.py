"""No unverified TLS: to an organisation or a server that cannot prove who it is, not one byte is sent."""

import socket
import ssl
import subprocess
import threading

import pytest

from sync import account, export
from test_bad_input import RETRY, UNREACHABLE, refused

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """Signs certificates, in a folder of its own."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.certificate, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        openssl("req", "-x509", *KEY, "-subj", f"/CN={name}", "-days", 2, "-keyout", self.key, "-out", self.certificate)

    def sign(self, host, days=2):
        """The files of a certificate for a host, and of its key."""
        stem = self.folder / f"{self.name}-{host}-{days}"
        key, request, certificate, names = (stem.with_suffix(end) for end in (".key", ".csr", ".pem", ".names"))
        names.write_text(f"subjectAltName = DNS:{host}\n")
        openssl("req", *KEY, "-subj", f"/CN={host}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                "-days", days, "-extfile", names, "-out", certificate)
        return certificate, key


class Organisation:
    """Speaks TLS at localhost, notes what it is asked, and answers that it is busy."""

    def __init__(self, certificate, key, newest=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if newest is not None:
            self.context.set_ciphers("DEFAULT:@SECLEVEL=0")
            self.context.maximum_version = newest
        self.requests = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(connection, server_side=True) as session:
                    # The name is judged after the handshake: a session, and nothing in it.
                    asked = session.recv(100)
                    if asked:
                        self.requests.append(asked.split(b" HTTP")[0].decode())
                    session.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:
                connection.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ours")


@pytest.fixture
def organisation():
    opened = []

    def start(*arguments, **options):
        opened.append(Organisation(*arguments, **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def ask(sync, organisation, authority, code):
    env = {"PGFORCE_SF_LOGIN_URL": organisation.url, "SSL_CERT_FILE": str(authority.certificate)}
    return refused(sync.pgforce, "import", "-", code=code, stdin=export(account()), env=env)


def test_an_organisation_that_proves_who_it_is_is_asked(sync, authority, organisation):
    there = organisation(*authority.sign("localhost"))
    ask(sync, there, authority, code=RETRY)
    assert set(there.requests) == {"POST /services/oauth2/token"}


def test_an_organisation_that_does_not_prove_who_it_is_is_asked_nothing(sync, authority, organisation, tmp_path):
    stranger = Authority(tmp_path, "strangers")
    own = (stranger.certificate, stranger.key)
    doubtful = {
        "expired": organisation(*authority.sign("localhost", days=-1)),
        "of another host": organisation(*authority.sign("example.com")),
        "signed by somebody unknown": organisation(*stranger.sign("localhost")),
        "signed by itself": organisation(*own),
        "old TLS": organisation(*authority.sign("localhost"), newest=ssl.TLSVersion.TLSv1_1),
    }
    for name, there in doubtful.items():
        line = ask(sync, there, authority, code=UNREACHABLE)
        assert "localhost" in line and there.requests == [], (name, line)


def test_a_database_that_offers_no_tls_is_not_talked_to_where_it_is_required(sync):
    url = sync.pgforce.env["PGFORCE_DATABASE_URL"] + "?sslmode=verify-full"
    line = refused(sync.pgforce, "import", "-", code=UNREACHABLE, stdin=export(account()), env={"PGFORCE_DATABASE_URL": url})
    assert "SSL" in line
