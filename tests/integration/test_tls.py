"""No unverified TLS: to an organisation or a server that cannot prove who it is, not one byte is sent. And TLS that
breaks in the middle: a reset, or a byte that is another, which either side notices."""

import random
import select
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from cluster import give_to_server
from eventually import eventually
from proxy import BLOCK, Proxy
from survival import Archive, assert_nothing_lost_or_repeated, loaded
from sync import account, export
from test_bad_input import RETRY, UNREACHABLE, refused
from test_instance_move import token_names
from test_stream_survival import through

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
        valid = ("-days", days)
        # From 3.4 on openssl makes none that ends before it begins, and takes both dates instead.
        if days < 0 and "-not_after" in subprocess.run(["openssl", "x509", "-help"], capture_output=True, text=True).stderr:
            valid = ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                *valid, "-extfile", names, "-out", certificate)
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


# In the middle


class Front:
    """Speaks TLS at localhost for a server of this machine that does not."""

    def __init__(self, certificate, key, port):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with (
                self.context.wrap_socket(connection, server_side=True) as session,
                socket.create_connection(self._server) as server,
            ):
                while self._pass_on(session, server):
                    pass
        except OSError:
            connection.close()

    @staticmethod
    def _pass_on(session, server):
        """What has come, from both sides. Answers False at the end of one."""
        ready = [session] if session.pending() else select.select([session, server], [], [])[0]
        for source in ready:
            block = source.recv(BLOCK)
            if not block:
                return False
            (server if source is session else session).sendall(block)
        return True

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def breaks(proxy, seed, longest, count=4):
    """Breaks the connection at some places, one after the other: by a reset, then by a changed byte."""
    for number, place in enumerate(random.Random(seed).sample(range(50, longest), count)):
        (proxy.garble_after if number % 2 else proxy.cut_after)(place)
        yield number


@pytest.fixture
def door(sandbox, authority):
    """A way over TLS to the organisation that a test can break."""
    front = Front(*authority.sign("localhost"), int(sandbox.url.rpartition(":")[2]))
    proxy = Proxy(front.port)
    yield proxy
    proxy.close()
    front.close()


def test_tls_to_the_organisation_that_breaks_anywhere_loses_and_repeats_nothing(sync, authority, door):
    url = f"https://localhost:{door.port}"
    token_names(sync, url)
    sync.pgforce.env.update(PGFORCE_SF_LOGIN_URL=url, SSL_CERT_FILE=str(authority.certificate))
    sync.load(account())
    for number in breaks(door, "organisation", 4000):
        ours = {"name": f"Ours {number}", "external_id__c": str(number)}
        sync.query("insert into salesforce.account (name, external_id__c) values (%(name)s, %(external_id__c)s)", ours)
        sync.query("update salesforce.account set phone = %s where phone is null", [str(number)])
        sync.org.create("Account", Name=f"Theirs {number}", Phone="0")
        eventually(lambda: door.is_done)
    wanted = sorted([f"Ours {n}" for n in range(4)] + [f"Theirs {n}" for n in range(4)])

    def both_sides():
        there = sorted(row["Name"] for row in sync.org.query("select Name from Account"))
        return there, [name for (name,) in sync.query("select name from salesforce.account order by name")]

    eventually(lambda: both_sides() == (wanted, wanted))
    eventually(lambda: {state for (state,) in sync.entries("state")} == {"SUCCESS"})
    assert sync.mapping_states() == {"DATA_SYNCED"}


@pytest.fixture
def server_tls(cluster, authority, server_setting):
    """The server offers TLS."""
    for source, name in zip(authority.sign("localhost"), ("server.crt", "server.key"), strict=True):
        shutil.copy(source, cluster.data / name)
        (cluster.data / name).chmod(0o600)
        give_to_server(cluster.data / name)
    server_setting("ssl", "on")


def test_tls_to_the_server_that_breaks_anywhere_loses_and_repeats_nothing(sync, database, server_tls):
    proxy = Proxy(database.cluster.port)
    env = {"PGFORCE_DATABASE_URL": through(proxy, database)["PGFORCE_DATABASE_URL"] + "?sslmode=require"}
    try:
        with loaded(sync) as load:
            archive = Archive(sync, env)
            pid = archive.streams()
            assert sync.value("select ssl from pg_stat_ssl where pid = %s", [pid], role="postgres")
            for _ in breaks(proxy, "server", 60_000):
                child = archive.child
                archive.until(lambda child=child: not child.is_running())
                archive.tend()
                archive.streams()
            load.goes_on()
        assert_nothing_lost_or_repeated(sync, archive)
    finally:
        proxy.close()
