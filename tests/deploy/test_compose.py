"""The compose file: valid, pinned, closed, healthy, and without a secret."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys

import pytest

from cli.environments import python_of
from paylake.settings import describe
from tests.deploy.compose import FILE, ROOT, document, is_one_shot, ports, services

SERVICES = services()
LONG_RUNNING = [name for name, service in SERVICES.items() if not is_one_shot(service)]
OURS = [name for name, service in SERVICES.items() if "build" in service]
DOCKERFILE = ROOT / "deploy" / "paylake.Dockerfile"
EXACT = re.compile(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-[\w.-]+)?(@sha256:[0-9a-f]{64})?")


def check_schema(path):
    command = [python_of("schema").parent / "check-jsonschema"]
    command += ["--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_file_is_valid_against_the_compose_schema():
    done = check_schema(FILE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_refuses_a_misspelt_key(tmp_path):
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(FILE.read_text("utf-8").replace("    expose:", "    exposes:", 1), "utf-8")
    done = check_schema(broken)
    assert done.returncode == 1 and "exposes" in done.stdout


def test_every_part_of_the_server_deployment_is_there():
    assert {
        "postgres", "redis", "spark-master", "spark-worker-1", "spark-worker-2", "spark-connect",
        "ledger", "airflow-init", "airflow-scheduler", "airflow-dag-processor",
        "airflow-api-server", "airflow-triggerer", "superset-init", "superset", "object-store",
        "object-store-init",
    } <= set(SERVICES)  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name):
    assert EXACT.fullmatch(SERVICES[name]["image"]), SERVICES[name]["image"]


def test_base_images_are_pinned_and_users_are_not_root():
    stages, built = {}, set()
    for line in DOCKERFILE.read_text("utf-8").splitlines():
        if line.startswith("FROM "):
            _, image, _, stage = line.split()
            assert image in stages or EXACT.fullmatch(image), line
            stages[stage] = None
            current = stage
        elif line.startswith("USER "):
            stages[current] = line.split()[1]
    for name in OURS:
        target = SERVICES[name]["build"]["target"]
        assert stages[target] == "paylake", f"{target} runs as root"
        built.add(target)
    assert built == {"lake", "airflow", "superset"}


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_server_is_watched_limited_and_started_again(name):
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
    limits = service["deploy"]["resources"]["limits"]
    assert limits["cpus"] and limits["memory"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_what_is_waited_for_can_be_waited_for():
    waited = 0
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            one_shot = is_one_shot(SERVICES[other])
            wanted = "service_completed_successfully" if one_shot else "service_healthy"
            assert how["condition"] == wanted, f"{name} → {other}"
            waited += 1
    assert waited > 10
    for name, service in SERVICES.items():
        if is_one_shot(service) and "profiles" not in service:
            assert any(name in other.get("depends_on", {}) for other in SERVICES.values()), name


def test_ports_are_published_on_loopback_alone():
    published = {n: s["ports"] for n, s in SERVICES.items() if "ports" in s}
    assert set(published) == {"ledger", "airflow-api-server", "superset"}
    for name, given in published.items():
        for port in given:
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"
            assert port.split(":")[2] in SERVICES[name]["expose"]
    assert len(set(ports())) == len(ports()), "two services share a port"


def test_the_engine_is_reached_by_its_users_alone():
    networks = document()["networks"]
    closed = {name for name, network in networks.items() if network.get("internal")}
    assert closed == set(networks) - {"edge", "out"}
    assert [n for n, s in SERVICES.items() if "out" in s["networks"]] == [
        "airflow-scheduler", "airflow-dag-processor",
    ]  # fmt: skip
    on_engine = {name for name, s in SERVICES.items() if "engine" in s["networks"]}
    assert {n for n in on_engine if not n.startswith("spark-")} == {"airflow-scheduler"}
    assert not {n for n in on_engine if "edge" in SERVICES[n]["networks"]}


def test_an_alarm_is_recorded_and_sent_from_wherever_airflow_raises_it():
    """Of a task that was killed the DAG processor tells, of any other its own process."""
    needed = ("volumes", "networks", "env_file")
    scheduler, processor = (
        {what: set(SERVICES[f"airflow-{name}"][what]) for what in needed}
        for name in ("scheduler", "dag-processor")
    )
    assert {"home:/srv/paylake", "lake:/srv/paylake/lake"} <= processor["volumes"]
    assert {"store", "out"} <= processor["networks"]
    assert processor["env_file"] == scheduler["env_file"]


def test_superset_sees_no_key_of_the_institution():
    mounted = {v.split(":")[0] for v in SERVICES["superset"]["volumes"]}
    assert "home" not in mounted and "lake:/srv/paylake/lake:ro" in SERVICES["superset"]["volumes"]


def test_no_secret_is_in_the_file():
    text = FILE.read_text("utf-8")
    assert not re.search(r"://[^\s/\"']*:[^\s/\"'@]+@", text), "an address with a password"
    names = re.compile(r"PASSWORD$|SECRET|TOKEN|_KEY$|SQL_ALCHEMY_CONN|ACCESS_KEY")
    for name, service in SERVICES.items():
        inline = [key for key in service.get("environment", {}) if names.search(key)]
        assert not inline, f"{name}: {inline} belong in var/deploy"
    kept = {file for s in SERVICES.values() for file in s.get("env_file", ())}
    assert kept and all(file.startswith("var/deploy/") for file in kept)
    ignored = ["git", "check-ignore", "--quiet", "var/deploy/airflow.env"]
    assert subprocess.run(ignored, cwd=ROOT, check=False).returncode == 0


def make_secrets(folder):
    command = [sys.executable, str(ROOT / "deploy" / "make_secrets.py"), "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_secrets_are_made_once_for_their_owner_alone(tmp_path):
    folder = tmp_path / "secrets"
    assert make_secrets(folder).returncode == 0
    made = {path.name: path.read_text("ascii") for path in folder.iterdir()}
    named = {file.split("/")[-1] for s in SERVICES.values() for file in s.get("env_file", ())}
    assert named and named <= set(made)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert make_secrets(folder).stdout.strip() == "nothing to do"
    assert made == {path.name: path.read_text("ascii") for path in folder.iterdir()}
    other = tmp_path / "other"
    make_secrets(other)
    for name, text in made.items():
        assert not set(text.splitlines()) & set((other / name).read_text("ascii").splitlines())
    (folder / "redis.env").unlink()
    done = make_secrets(folder)
    assert done.returncode != 0 and "redis.env" in done.stderr


def test_every_file_that_an_image_copies_or_a_service_mounts_is_there():
    text = DOCKERFILE.read_text("utf-8")
    copied = re.findall(r"^COPY (\S+) \S+$", text, re.M)
    others = re.findall(r"^COPY --from=(\S+) ", text, re.M)
    assert len(copied) > 10 and text.count("COPY ") == len(copied) + len(others)
    assert all(f" AS {stage}\n" in text for stage in others)
    ignore = DOCKERFILE.with_name("paylake.Dockerfile.dockerignore").read_text("utf-8").split("\n")
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source.split('/')[0]}" in ignore, f"{source} does not reach the builder"
    binds = [v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", ())]
    binds = [source for source in binds if source.startswith(".")]
    assert binds
    for source in binds:
        assert os.access(ROOT / source, os.X_OK), source
    commands = [[*s.get("entrypoint", ()), *s["command"]] for s in SERVICES.values()]
    scripts = [(c, w) for c in commands for w in map(str, c) if w.startswith("/opt/paylake/")]
    assert scripts
    for command, word in scripts:
        file = ROOT / word.removeprefix("/opt/paylake/")
        assert file.is_file(), word
        assert command[0] != word or os.access(file, os.X_OK), word


def test_environments_of_the_images_have_locks():
    wanted = set(re.findall(r"bin/python-of ([\w-]+)", DOCKERFILE.read_text("utf-8")))
    assert wanted == {"lake", "airflow-server", "superset-server"}
    for name in wanted:
        lock = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
        assert lock.count("==") <= lock.count("--hash=sha256:")


@pytest.mark.parametrize("base", ["airflow", "superset"])
def test_server_locks_only_add_to_their_bases(base):
    def pins(name):
        text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
        return set(re.findall(r"^[\w.-]+==[^\s;]+", text, re.M))

    assert pins(base) < pins(f"{base}-server")


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name):
    known = {f"PAYLAKE_{setting.upper()}" for setting, _, _ in describe()}
    given = {key for key in SERVICES[name].get("environment", {}) if key.startswith("PAYLAKE_")}
    assert given and given <= known, given - known


def test_every_variable_of_airflow_is_one_of_its_options():
    given = [key for key in SERVICES["airflow-scheduler"]["environment"] if "__" in key]
    given += ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"]
    given += ["AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API__SECRET_KEY"]
    program = (
        "import sys\nfrom airflow.configuration import conf\n"
        "for name in sys.argv[1:]:\n"
        "    _, section, key = name.lower().split('__')\n"
        "    options = conf.configuration_description.get(section, {}).get('options', {})\n"
        "    if key not in options: print(name)\n"
    )
    done = subprocess.run(
        [str(python_of("airflow")), "-c", program, *given],
        capture_output=True, text=True, check=False,
        env={**os.environ, "AIRFLOW_HOME": str(ROOT / "var" / "deploy-options")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(given) > 15 and done.stdout.split() == []
