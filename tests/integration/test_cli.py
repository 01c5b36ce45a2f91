"""The command line itself: help, slips of the finger, exit codes, what is configured, the manual page."""

import json
import re
import shutil
import subprocess

import pytest

import process
from cluster import BUILD, ROOT

BINARY = BUILD / "bin" / "pgforce"


def run(*arguments, expect=0, **env):
    done = subprocess.run(
        [BINARY, *arguments],
        env=process.environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def command_names():
    """Those that `pgforce --help` lists."""
    text = run("--help").stdout.split("variables")[0]
    return re.findall(r"^  ([a-z-]+) ", text, re.MULTILINE)


def test_every_command_tells_of_itself_both_ways():
    names = command_names()
    assert {"setup", "login", "mapping", "run", "status"} <= set(names)
    for name in names:
        first = run("help", name).stdout
        assert first.startswith(f"usage: pgforce {name}")
        assert not re.search(r" $", first, re.MULTILINE)
        if name != "tail":
            assert run(name, "--help").stdout == first
    assert "usage" in run("tail", "--help").stdout.lower()
    assert run("-?").stdout == run("--help").stdout == run("help").stdout


def test_mapping_tells_of_its_verbs():
    assert re.search(r"^  reload +OBJECT", run("mapping", "--help").stdout, re.MULTILINE)


@pytest.mark.parametrize("verb", ["create", "edit"])
def test_every_option_of_a_mapping_is_in_its_help_and_in_the_docs(verb):
    """What a wrong option is answered with is what the program reads."""
    refused = run("mapping", verb, "Account", "--nonsense", expect=64).stderr
    known = re.findall(r"([a-z-]+)=?(?: |\))", refused.partition("there are: ")[2])
    (told,) = re.findall(rf"^  {verb} .*", run("help", "mapping").stdout, re.MULTILINE)
    page = (ROOT / "docs/mappings.md").read_text()
    assert len(known) > 20
    assert [name for name in known if f"--{name}" not in told] == []
    assert [name for name in known if f"`--{name}" not in page] == []
    assert sorted(re.findall("--([a-z-]+)", told)) == sorted(known)


@pytest.mark.parametrize(
    "slip, meant",
    [("statsu", "status"), ("maping", "mapping"), ("improt", "import"), ("lgoin", "login")],
)
def test_a_slip_of_the_finger_is_told_what_was_meant(slip, meant):
    assert f'did you mean "{meant}"?' in run(slip, expect=64).stderr
    assert f'did you mean "{meant}"?' in run("help", slip, expect=64).stderr


def test_what_is_like_nothing_gets_no_guess():
    for name in ("frobnicate", "x" * 500):
        refused = run(name, expect=64).stderr
        assert "unknown command" in refused
        assert "did you mean" not in refused
    assert 'did you mean "reload"?' in run("mapping", "relaod", "Account", expect=64).stderr


def test_the_configuration_is_shown_without_its_secrets(tmp_path):
    canary = "canary-7f3a"
    file = tmp_path / "secret"
    file.write_text("ab" * 32)
    file.chmod(0o600)
    env = {
        "PGFORCE_DATABASE_URL": f"postgresql://me:{canary}@db.example/app?sslmode=require",
        "PGFORCE_SF_CLIENT_SECRET": canary,
        "PGFORCE_SF_PASSWORD": canary,
        "PGFORCE_SF_REFRESH_TOKEN": canary,
        "PGFORCE_SF_ACCESS_TOKEN": canary,
        "PGFORCE_API_TOKEN": canary,
        "PGFORCE_API_KEY": canary,
        "PGFORCE_SECRET_KEY_FILE": str(file),
        "PGFORCE_SF_USERNAME": "ann@example.com",
    }
    text = run("--check-config", **env).stdout
    shown = json.loads(run("--check-config", "--json", **env).stdout)
    for output in (text, json.dumps(shown)):
        assert canary not in output
        assert "ab" * 8 not in output
    assert shown["PGFORCE_SECRET_KEY"] == "(set)"
    assert shown["PGFORCE_SF_USERNAME"] == "ann@example.com"
    assert "host=db.example" in shown["PGFORCE_DATABASE_URL"]
    assert "PGFORCE_SF_USERNAME=ann@example.com\n" in text


@pytest.mark.parametrize(
    "env",
    [
        {"PGFORCE_SCHEMA": "With Blank"},
        {"PGFORCE_TYPO": "1"},
        {"PGFORCE_DATABASE_URL": "postgresql://[broken"},
        {"PGFORCE_SF_CLIENT_SECRET_FILE": "/nowhere"},
    ],
)
def test_a_configuration_that_cannot_work_ends_with_78(env):
    assert run("--check-config", expect=78, **env).stderr.startswith("pgforce: ")


def test_the_exit_codes_are_one_table():
    table = run("exit-code-table").stdout
    codes = [int(code) for code in re.findall(r"^\| (\d+) ", table, re.MULTILINE)]
    assert codes == [0, 1, 3, 4, 5, 6, 10, 64, 65, 70, 75, 78]
    assert all(f"\n  {code:<3} " in run("--help").stdout for code in codes)


def test_the_manual_page_has_every_command_and_variable_and_no_mistake(tmp_path):
    page = tmp_path / "pgforce.1"
    page.write_text(run("man-page").stdout)
    shown = subprocess.run(
        ["man", "--warnings", "-l", page],
        env={"MANWIDTH": "200", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""
    for name in [*command_names(), "PGFORCE_DATABASE_URL", "PGFORCE_LOG_FORMAT", "orphans [--remove"]:
        assert name in shown.stdout


def complete(tmp_path, *words):
    """What bash would offer for the last word."""
    script = tmp_path / "completion"
    script.write_text(run("bash-completion").stdout)
    quoted = " ".join(f"'{word}'" for word in words)
    line = f". {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _pgforce"
    bash = shutil.which("bash")
    done = subprocess.run(
        [bash, "-c", line + '; printf "%s\\n" "${COMPREPLY[@]}"'],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_bash_completes_commands_verbs_and_options(tmp_path):
    assert complete(tmp_path, "pgforce", "stat") == ["status"]
    assert complete(tmp_path, "pgforce", "help", "logi") == ["login"]
    assert complete(tmp_path, "pgforce", "mapping", "orp") == ["orphans"]
    assert complete(tmp_path, "pgforce", "mapping", "reload", "--d") == ["--destructive"]
    assert complete(tmp_path, "pgforce", "login", "--cl") == ["--client-credentials", "--client-id"]


# What prints a page, has formats of its own, or runs until it is stopped, as the roles do.
WITHOUT_JSON = {
    *("run", "tail", "decode", "mapping"),
    *("rule-table", "config-table", "exit-code-table", "man-page", "bash-completion"),
}


def test_every_command_that_answers_can_answer_in_json():
    for name in set(command_names()) - WITHOUT_JSON:
        told = run("help", name).stdout
        assert "\nthe role that " in told or "[--json]" in told, name
    verbs = re.findall(r"^  [a-z]+ .*", run("help", "mapping").stdout, re.MULTILINE)
    assert len(verbs) > 10 and [verb for verb in verbs if "--json" not in verb] == []


def test_setup_tokens_and_truncations_answer_in_json(pgforce):
    pgforce.set_up()
    assert json.loads(pgforce.run("setup", "--json").stdout)["is_set_up"] is True
    made = json.loads(pgforce.run("token", "create", "ann", "operator", "--json").stdout)
    assert (made["name"], made["role"]) == ("ann", "operator")
    (listed,) = json.loads(pgforce.run("token", "list", "--json").stdout)
    assert listed.keys() == {"name", "role", "created_at"}
    assert json.loads(pgforce.run("token", "revoke", "ann", "--json").stdout) == {"revoked": "ann"}
    assert json.loads(pgforce.run("token", "list", "--json").stdout) == []
    assert json.loads(pgforce.run("truncations", "--json").stdout) == []
    assert json.loads(pgforce.run("export", "--json").stdout)["mappings"] == []
    pgforce.run("token", "create", expect=64)
    pgforce.run("token", "--json", expect=64)


SURPLUS = [
    *(["setup"], ["setup", "--print-sql"], ["logout"], ["status"], ["recover"], ["serve"]),
    *(["errors", "Account"], ["conflicts", "Account"], ["route-table"], ["--check-config"]),
]


@pytest.mark.parametrize("words", SURPLUS, ids=" ".join)
def test_a_word_too_many_is_refused_before_anything_is_done(words):
    # Nobody answers there: who asked first would end with 3.
    run(*words, "surplus", expect=64, PGFORCE_DATABASE_URL="host=127.0.0.1 port=1")


def test_a_command_that_is_missing_is_told():
    assert "a command is missing" in run(expect=64).stderr
