"""What docs/deploy ships names only commands, ports, variables and probes that exist."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

BUILD = Path(os.environ["PGFORCE_BUILD"])
SOURCE = Path(__file__).resolve().parents[2]
DEPLOY = SOURCE / "docs" / "deploy"
BINARY = BUILD / "bin" / "pgforce"
UNITS = [BUILD / "docs" / "deploy" / name for name in ("pgforce.service", "pgforce@.service")]
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
POD = yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text())["spec"]["template"]["spec"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def run(*arguments, **env):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PGFORCE_")}
    return subprocess.run(
        [BINARY, *arguments], env={**clean, **env}, capture_output=True, text=True, check=False
    )


VARIABLES = set(re.findall(r"`(PGFORCE_\w+)`", run("config-table").stdout))
COMMANDS = set(re.findall(r"^  ([a-z-]+) ", run("--help").stdout.split("variables")[0], re.MULTILINE))
ROUTES = {json.loads(line)["path"] for line in run("route-table", "--json").stdout.splitlines()}


def containers():
    return [c for c in POD["initContainers"] + POD["containers"] if "pgforce" in c["image"]]


def pod_env():
    return [{pair["name"]: pair["value"] for pair in each["env"]} for each in containers()]


def loads(env, tmp_path):
    """The configuration, with a file for each that is named: whether pgforce takes it."""
    made = dict(env)
    for name in env:
        if name.endswith("_FILE") and name != "PGFORCE_SF_JWT_KEY_FILE":
            file = tmp_path / name
            file.write_text("ab" * 32 if "SECRET_KEY" in name else "postgresql://x/y")
            file.chmod(0o600)
            made[name] = str(file)
    done = run("--check-config", **made)
    assert done.returncode == 0, done.stderr


def test_every_variable_exists(tmp_path):
    loads(COMPOSE["services"]["pgforce"]["environment"], tmp_path)
    for env in pod_env():
        loads(env, tmp_path)
    lines = (DEPLOY / "pgforce.env").read_text().splitlines()
    named = [line.lstrip("#") for line in lines if re.match(r"#?PGFORCE_", line)]
    loads(dict(line.split("=", 1) for line in named), tmp_path)
    for text in (DOCKERFILE, *(unit.read_text() for unit in UNITS)):
        for name in re.findall(r"PGFORCE_[A-Z_]+", text):
            assert name in VARIABLES | {"PGFORCE_TESTS", "PGFORCE_PG_CONFIG"}


def test_every_command_exists():
    named = [COMPOSE["services"]["pgforce"]["command"][0]]
    named += [each["args"][0] for each in containers()]
    named += json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    named += [json.loads(re.search(r"CMD (\[.*status.*\])", DOCKERFILE)[1])[1]]
    for unit in UNITS:
        named.append(re.search(r"^ExecStart=\S+/pgforce (\S+)$", unit.read_text(), re.MULTILINE)[1])
    for text in ((DEPLOY / "compose.yaml").read_text(), (DEPLOY / "kubernetes.yaml").read_text()):
        named += re.findall(r"(?:`pgforce|run --rm pgforce) ([a-z-]+)", text)
    assert len(named) > 8
    assert set(named) <= COMMANDS


def test_the_sandboxs_options_exist():
    help_text = subprocess.run(
        [BUILD / "bin" / "pgforce-sandbox", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for word in COMPOSE["services"]["sandbox"]["command"]:
        if word.startswith("--"):
            assert f"  {word} " in help_text


def test_ports_and_probes_are_those_that_are_served():
    service = COMPOSE["services"]["pgforce"]
    port = service["environment"]["PGFORCE_API_ADDRESS"].rsplit(":", 1)[1]
    assert COMPOSE["services"]["sandbox"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {port}" in DOCKERFILE
    (sidecar,) = [each for each in POD["containers"] if each["name"] == "pgforce"]
    env = {pair["name"]: pair["value"] for pair in sidecar["env"]}
    ports = {each["name"]: each["containerPort"] for each in sidecar["ports"]}
    assert env["PGFORCE_API_ADDRESS"].endswith(f":{ports['api']}")
    for probe in ("livenessProbe", "readinessProbe"):
        get = sidecar[probe]["httpGet"]
        assert get["port"] in ports
        assert get["path"] in ROUTES
        (host,) = [header["value"] for header in get["httpHeaders"] if header["name"] == "Host"]
        assert host in env["PGFORCE_API_HOSTS"].split(",")


def test_secrets_and_volumes_are_declared():
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    env = COMPOSE["services"]["pgforce"]["environment"]
    for name, value in env.items():
        if name.endswith("_FILE"):
            assert Path(value).name in COMPOSE["services"]["pgforce"]["secrets"]
    volumes = {each["name"] for each in POD["volumes"]}
    for each in containers():
        assert {mount["name"] for mount in each["volumeMounts"]} <= volumes


def test_what_the_image_copies_exists_and_what_it_builds_is_a_target():
    for path in re.findall(r"^COPY (docs/\S+)", DOCKERFILE, re.MULTILINE):
        assert os.access(SOURCE / path, os.X_OK)
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    for service in COMPOSE["services"].values():
        assert service["build"]["target"] in targets
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    subprocess.run(["sh", "-n", DEPLOY / "postgres-start"], check=True)


def test_nothing_runs_as_root_or_writes_its_image():
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert COMPOSE["services"]["pgforce"]["read_only"] is True
    assert POD["securityContext"]["runAsNonRoot"] is True
    for each in containers():
        assert each["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_unit_is_one_and_lets_little_in(unit, tmp_path):
    text = unit.read_text()
    installed = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)[1]
    copy = tmp_path / unit.name.replace("@.", "@x.")
    copy.write_text(text.replace(installed, str(BINARY)))
    verify = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    assert (verify.returncode, verify.stderr.strip()) == (0, "")
    security = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=15", copy],
        capture_output=True,
        text=True,
        check=False,
    )
    assert security.returncode == 0, security.stdout


def test_the_unit_parks_what_an_operator_must_mend():
    table = run("exit-code-table").stdout
    parked = set(re.findall(r"^\| (\d+) .*\| not restart \|$", table, re.MULTILINE))
    for unit in UNITS:
        prevented = re.search(r"^RestartPreventExitStatus=(.*)$", unit.read_text(), re.MULTILINE)[1]
        assert set(prevented.split()) == parked
