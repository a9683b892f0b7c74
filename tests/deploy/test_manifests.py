"""What is shipped for running the gateway: linted, and true to the gateway that it runs.

No image is built and no cluster is run here: there is no engine to do it with. What can be known
without one is checked: that the files are valid, that every command, setting, port and probe that
they name exists, and that the image's recipe copies what an installed gateway needs.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis
from redis.exceptions import ConnectionError

from gateway.cli import parser
from gateway.config import load_settings
from gateway.embedded.binaries import find_binaries
from tests.architecture import ROOT
from tests.conftest import eventually

_DEPLOY = ROOT / "deploy"
_TOOLS = Path(sys.executable).parent
_COMPOSE = _DEPLOY / "compose/compose.yaml"
_KUBERNETES = sorted(
    p for p in (_DEPLOY / "kubernetes").glob("*.yaml") if p.name != "kustomization.yaml"
)
_SETTING = re.compile(r"SMM_[A-Z_]+")


def _run(*command: object, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _documents(*files: Path) -> Iterator[dict[str, Any]]:
    for file in files:
        yield from filter(None, yaml.safe_load_all(file.read_text()))


def _containers() -> Iterator[dict[str, Any]]:
    """Every container of ours in the Kubernetes manifests."""
    for document in _documents(*_KUBERNETES):
        if template := document.get("spec", {}).get("template"):
            yield from template["spec"]["containers"]


def _services() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(_COMPOSE.read_text())["services"]
    return services


def _ours() -> dict[str, dict[str, Any]]:
    return {n: s for n, s in _services().items() if s["image"].startswith("smm-gateway")}


def test_yaml_is_well_kept() -> None:
    _run(_TOOLS / "yamllint", "--strict", "-c", _DEPLOY / ".yamllint.yaml", _DEPLOY)


def test_the_image_s_recipe_is_sound() -> None:
    _run(_TOOLS / "hadolint", _DEPLOY / "Dockerfile")


def test_compose_follows_its_schema_and_grants_no_more_than_needed() -> None:
    _run(_TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", _COMPOSE)
    _run(_TOOLS / "compose-lint", "--fail-on", "high", _COMPOSE)


@pytest.mark.parametrize("file", _KUBERNETES, ids=lambda file: file.name)
def test_kubernetes_takes_every_manifest(file: Path) -> None:
    _run(_TOOLS / "kubernetes-validate", "--strict", "-k", "1.33", file)


def test_kustomize_lists_every_manifest_but_the_example_of_a_secret() -> None:
    listed = set(
        yaml.safe_load((_DEPLOY / "kubernetes/kustomization.yaml").read_text())["resources"]
    )
    assert listed == {file.name for file in _KUBERNETES} - {"secret.example.yaml"}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is NOT INSTALLED")
def test_systemd_understands_every_unit(tmp_path: Path) -> None:
    for unit in sorted((_DEPLOY / "systemd").iterdir()):
        text = unit.read_text().replace("/opt/smm-gateway/.venv/bin/smm-gateway", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    said = _run("systemd-analyze", "verify", "--man=no", *tmp_path.iterdir())
    assert "smm-gateway" not in said, said


def test_every_command_that_is_run_is_one_that_the_gateway_has() -> None:
    commands = [service["command"] for service in _ours().values()]
    commands += [container["args"] for container in _containers()]
    for unit in (_DEPLOY / "systemd").glob("*.service"):
        [line] = re.findall(r"^ExecStart=\S+ (.*)$", unit.read_text(), re.MULTILINE)
        commands.append(line.split())
    assert len(commands) >= 8
    for command in commands:
        parser().parse_args(command)


def test_every_setting_that_is_set_exists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_here: dict[str, str] = {}
    for service in _ours().values():
        set_here |= {str(k): str(v) for k, v in service["environment"].items()}
    for document in _documents(*_KUBERNETES):
        if document["kind"] == "ConfigMap":
            set_here |= document["data"]
    for container in _containers():
        set_here |= {one["name"]: one["value"] for one in container.get("env", ())}
    for unit in (_DEPLOY / "systemd").glob("*.service"):
        set_here |= dict(re.findall(r"^Environment=(\w+)=(.*)$", unit.read_text(), re.MULTILINE))
    recipe = (_DEPLOY / "Dockerfile").read_text()
    set_here |= dict(re.findall(r"(SMM_[A-Z_]+)=(\S+)", recipe))
    # Files of secrets are somewhere else here.
    for name in [n for n in set_here if n.endswith("_FILE")]:
        (tmp_path / name).write_text(_SECRETS[name])
        set_here[name] = str(tmp_path / name)
    set_here.pop("SMM_CONFIG")
    for name, value in set_here.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.internal.port == 9800
    assert settings.ops.port == 8801
    assert settings.ops.url is not None
    assert settings.ops.trusted_proxies == settings.http.trusted_proxies != []
    assert settings.database.url is not None
    assert settings.security.pepper is not None


_SECRETS = {
    "SMM_DATABASE__URL_FILE": "postgresql://smm_app:secret@db/smm\n",
    "SMM_DATABASE__MIGRATION_URL_FILE": "postgresql://smm_owner:secret@db/smm\n",
    "SMM_REDIS__URL_FILE": "redis://:secret@valkey:6379/0\n",
    "SMM_SECURITY__PEPPER_FILE": "p" * 48,
    "SMM_SECURITY__MASTER_KEYS_FILE": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
}


def test_a_stop_leaves_time_for_the_answers_of_upstreams() -> None:
    needed = load_settings(ROOT / "config.yaml").dispatch.timeout_ms / 1000
    for name in ("web", "worker"):
        assert int(_services()[name]["stop_grace_period"].removesuffix("s")) > needed
    for document in _documents(*_KUBERNETES):
        if document["kind"] == "StatefulSet":
            pod = document["spec"]["template"]["spec"]
            assert pod["terminationGracePeriodSeconds"] > needed
    unit = (_DEPLOY / "systemd/smm-gateway.service").read_text()
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(seconds) > needed


def test_one_address_is_believed_and_it_is_the_proxy_s() -> None:
    networks = yaml.safe_load(_COMPOSE.read_text())["networks"]
    on_front = {n: s["networks"] for n, s in _services().items() if "front" in s["networks"]}
    assert set(on_front) == {"web", "caddy"}
    believed = f'["{on_front["caddy"]["front"]["ipv4_address"]}/32"]'
    set_for_web = _services()["web"]["environment"]
    for name in ("SMM_HTTP__TRUSTED_PROXIES", "SMM_OPS__TRUSTED_PROXIES"):
        assert set_for_web[name] == believed
    for service in _services().values():
        if any(not name.startswith("0.0.0.0") for name in service.get("ports", ())):
            assert any(not (networks[n] or {}).get("internal") for n in service["networks"])


async def test_valkey_wants_its_password_and_has_it_from_no_argument(tmp_path: Path) -> None:
    shell, _, script = _services()["valkey"]["command"]
    [arguments] = re.findall(r"exec valkey-server (.*)", script)
    assert arguments == "- <<EOF"
    (tmp_path / "password").write_text("hunter22")
    for old, new in (
        ("$$", "$"),
        ("valkey-server", str(find_binaries().valkey)),
        ("/run/secrets/valkey_password", f"{tmp_path}/password"),
        ("save", f"port 0\nunixsocket {tmp_path}/socket\nsave"),
    ):
        assert old in script
        script = script.replace(old, new)
    server = await asyncio.create_subprocess_exec(shell, "-c", script, cwd=tmp_path)
    client = Redis(unix_socket_path=f"{tmp_path}/socket", password="hunter22")
    stranger = Redis(unix_socket_path=f"{tmp_path}/socket", protocol=2)

    async def answers() -> bool:
        with suppress(ConnectionError):
            return bool(await client.ping())
        return False

    try:
        await eventually(answers)
        with pytest.raises(ConnectionError, match="Authentication required"):
            await stranger.ping()
    finally:
        await client.aclose()
        await stranger.aclose()
        server.kill()
        await server.wait()


def test_nothing_runs_as_root_or_writes_to_its_image() -> None:
    assert re.search(r"^USER 10001:10001$", (_DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for service in _ours().values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    for container in _containers():
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_no_manifest_brings_a_secret_of_its_own() -> None:
    for file in (*_KUBERNETES, _COMPOSE):
        for url in re.findall(r"\w+://\S+:(\S+)@", file.read_text()):
            assert url == "PASSWORD"


def test_secrets_are_made_once_and_open_a_database(tmp_path: Path) -> None:
    for name in ("make-secrets", "compose.yaml"):
        shutil.copy(_DEPLOY / "compose" / name, tmp_path)
    _run(tmp_path / "make-secrets")
    made = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    wanted = yaml.safe_load(_COMPOSE.read_text())["secrets"]
    assert {Path(one["file"]).name for one in wanted.values()} == set(made)
    assert len(made["pepper"]) >= 32
    assert made["app_password"] in made["database_url"]
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert "made" not in _run(tmp_path / "make-secrets")
    assert made == {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}


def test_an_installed_gateway_has_every_file_that_it_reads(tmp_path: Path) -> None:
    """The image installs a package: what is no Python file must be named to be in it."""
    source = tmp_path / "source"
    source.mkdir()
    recipe = (_DEPLOY / "Dockerfile").read_text()
    for name in ("pyproject.toml", "README.md", "LICENSE", "schemas", "providers", "gateway"):
        assert re.search(rf"^COPY .*\b{re.escape(name)}\b", recipe, re.MULTILINE), name
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    _run(*pip, "--no-build-isolation", "--target", tmp_path / "there", source)
    for package in ("schemas", "providers", "gateway"):
        for file in (ROOT / package).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                there = tmp_path / "there" / file.relative_to(ROOT)
                assert there.is_file(), f"{file.relative_to(ROOT)} is not in the package"


def test_what_the_image_listens_on_is_what_the_manifests_ask() -> None:
    recipe = (_DEPLOY / "Dockerfile").read_text()
    assert set(re.search(r"^EXPOSE (.*)$", recipe, re.MULTILINE)[1].split()) >= {"8800", "9800"}  # type: ignore[index]
    assert "/healthz" in recipe
    probes = [
        container[probe]["httpGet"]["path"]
        for container in _containers()
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        if probe in container
    ]
    assert set(probes) == {"/healthz", "/readyz"}
    assert os.access(_DEPLOY / "compose/make-secrets", os.X_OK)
