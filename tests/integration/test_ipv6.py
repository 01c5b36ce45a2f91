"""A database, an organisation and an API that are reached by IPv6 alone."""

from pathlib import Path

import pytest

from api import Api
from eventually import eventually
from sandbox import Sandbox
from test_listen import heard, listening

TOKEN = "an-administrators-token"
ADDRESSES = Path("/proc/net/if_inet6")

# Every session of pgforce's on the server, and where it comes from.
CAME_FROM = "select distinct host(client_addr) from pg_stat_activity where usename = 'pgforce'"


@pytest.fixture
def sandbox(logs):
    with Sandbox(logs, host="[::1]") as sandbox:
        yield sandbox


@pytest.fixture
def pgforce(pgforce):
    url = pgforce.env["PGFORCE_DATABASE_URL"].replace("@127.0.0.1:", "@[::1]:")
    pgforce.env["PGFORCE_DATABASE_URL"] = url
    return pgforce


def rows(sync):
    return sync.query("select name, phone from salesforce.account order by id")


# Where the machine has no IPv6 there is no test, and ctest says so.
if ADDRESSES.exists() and ADDRESSES.read_text().split():

    def test_all_goes_over_ipv6(sync):
        assert "[::1]" in sync.org.url and "@[::1]:" in sync.pgforce.env["PGFORCE_DATABASE_URL"]
        acme = sync.org.create("Account", Name="Acme", Phone="1")
        sync.map(heard())
        sync.start("run")
        sync.wait_until_loaded()
        eventually(lambda: listening(sync))
        sync.query("update salesforce.account set phone = '2'")
        assert sync.settled(1) == [("UPDATE", "SUCCESS")]
        assert sync.org.retrieve("Account", acme)["Phone"] == "2"
        # Heard of: its poll is ten minutes away.
        sync.org.update("Account", acme, Phone="3")
        eventually(lambda: rows(sync) == [("Acme", "3")])
        sync.pgforce.run("doctor")
        assert sync.query(CAME_FROM, role="postgres") == [("::1",)]

    def test_the_api_listens_at_an_address_of_ipv6(sync):
        api = Api(sync.pgforce, TOKEN, PGFORCE_API_TOKEN=TOKEN, PGFORCE_API_ADDRESS="[::1]:0")
        assert api.get("/livez").status == 200
        assert api.get("/status").json["schema"] == "salesforce"
        assert api.get("/status", token="").status == 401
        assert api.get("/livez", headers={"Host": "rebound.example"}).status == 421
