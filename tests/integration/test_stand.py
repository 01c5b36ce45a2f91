"""./dev up and ./dev down: the installation that the documentation tells people to try."""

import subprocess

import psycopg2
import pytest

import process
from eventually import eventually
from stand import Stand, StandError


@pytest.fixture
def stand(scratch):
    stand = Stand(scratch / "it's a stand")
    yield stand
    stand.purge()


def environment_of(stand):
    """What a shell has after sourcing the file env."""
    script = '. "$0" && env -0'
    done = subprocess.run(
        ["sh", "-c", script, stand.folder / "env"],
        env=process.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def test_up_leaves_all_running_and_down_leaves_only_the_files(stand):
    stand.up()
    env = environment_of(stand)
    for name in ("DATABASE_URL", "PGFORCE_DATABASE_URL", "ADMIN_DATABASE_URL"):
        psycopg2.connect(env[name]).close()
    status = subprocess.run([env["PGFORCE"], "status"], env=env, capture_output=True, check=False)
    assert status.returncode == 0, status.stderr
    with pytest.raises(StandError, match="is up already"):
        Stand(stand.folder).up()
    pids = {path.name: int(path.read_text()) for path in stand.folder.glob("*.pid")}
    assert sorted(pids) == ["pgforce.pid", "postgres.pid", "sandbox.pid"]

    # Another process than the one that said up.
    Stand(stand.folder).down()
    # The sandbox and the daemon were children of this process, so they may still be zombies.
    # Its file of the pid goes in PostgreSQL's last moment, not after it.
    eventually(lambda: [process.start_time(pid) for pid in pids.values()] == [None, None, None])
    assert (stand.log / "pgforce.log").exists()
    assert list(stand.folder.glob("*.pid")) == []


def test_up_refuses_a_folder_with_files_of_others(scratch):
    folder = scratch / "others"
    (folder / "log").mkdir(parents=True)
    with pytest.raises(StandError, match="not of an earlier ./dev up"):
        Stand(folder).up()
    Stand(folder).purge()
    assert (folder / "log").exists()
