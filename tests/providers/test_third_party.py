"""An adapter of somebody else: what it costs, and that installing its package is all it takes."""

import ast
import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.architecture import ROOT
from tests.odd_panels import KEY, OddPanel, serving

EXAMPLE = Path(__file__).parent / "example_dialect"
ADAPTER = EXAMPLE / "src" / "tidepool.py"
MOST_LINES = 15

#: Runs in a process of its own, which knows the example only as an installed package.
TALK = """
import asyncio, json, sys
from providers.account import ProviderAccount
from providers.registry import create_provider, provider_kinds
from providers.transport import Transport
from schemas.upstream import Submission

async def talk(url, key):
    async with Transport() as transport:
        provider = create_provider("tidepool", ProviderAccount("t", url, key), transport)
        order = Submission("1", {"link": "https://example.com/p?utm=1", "quantity": "5"})
        placed = await provider.add(order)
        balance = await provider.balance()
        status = await provider.status(["11"])
    return [provider_kinds(), placed.upstream_id, str(balance.amount), str(status["11"].word)]

print(json.dumps(asyncio.run(talk(*sys.argv[1:]))))
"""

SUITE = """
from tests.providers.conformance import ProviderConformance

class TestTidepool(ProviderConformance):
    kind = "tidepool"
    method = "GET"
    accepted = ('{"job":{"no":23501}}', "23501")
"""


async def run(*command: str, path: str = "") -> str:
    """What a process prints; it must end well."""
    environment = {**os.environ, "PYTHONPATH": path, "PIP_NO_INDEX": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=environment, stdout=PIPE, stderr=PIPE
    )
    out, error = await process.communicate()
    assert process.returncode == 0, out.decode() + error.decode()
    return out.decode()


@pytest.fixture(scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the example was installed into, without a network."""
    folder = tmp_path_factory.mktemp("third_party")
    source = shutil.copytree(EXAMPLE, folder / "source")
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    target = folder / "installed"
    await run("-m", "pip", "install", *flags, "--target", str(target), str(source))
    return target


def test_a_dialect_costs_at_most_fifteen_lines() -> None:
    text = ADAPTER.read_text("utf-8")
    assert 5 < text.count("\n") <= MOST_LINES
    [adapter] = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]
    assert isinstance(adapter.bases[0], ast.Name)
    assert adapter.bases[0].id == "PanelV2"


def test_the_docs_show_the_whole_adapter() -> None:
    text = (ROOT / "docs" / "providers.md").read_text("utf-8")
    assert ADAPTER.read_text("utf-8") in text


def test_no_module_of_ours_knows_the_dialect() -> None:
    ours = [
        file
        for package in ("schemas", "providers", "gateway")
        for file in (ROOT / package).rglob("*.py")
    ]
    assert len(ours) > 50
    assert [file for file in ours if "tidepool" in file.read_text("utf-8").lower()] == []


async def test_an_installed_package_is_picked_up_by_its_entry_point(installed: Path) -> None:
    answers = {"balance": {"account": {"funds": "3.5"}}, "add": {"job": {"no": "t-7"}}}
    async with serving(OddPanel(method="GET", answers=answers)) as panel:
        path = os.pathsep.join([str(installed), str(ROOT)])
        printed = await run("-c", TALK, panel.url, KEY, path=path)
        # What is logged stands before it.
        kinds, *talked = json.loads(printed.splitlines()[-1])
    assert kinds == ["manual", "panel_v2", "tidepool"]
    assert talked == ["t-7", "3.5", "completed"]
    [added] = [fields for fields in panel.asked if fields["action"] == "add"]
    assert added["link"] == "https://example.com/p"


async def test_it_passes_the_conformance_suite(installed: Path, tmp_path: Path) -> None:
    """The suite as the package's own author runs it: a subclass, and the fixtures of ours."""
    shutil.copy(Path(__file__).parent / "conftest.py", tmp_path)
    (tmp_path / "test_tidepool.py").write_text(SUITE)
    path = os.pathsep.join([str(installed), str(ROOT)])
    flags = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    shown = await run("-m", "pytest", *flags, f"--rootdir={tmp_path}", str(tmp_path), path=path)
    assert " passed" in shown
    assert "skipped" not in shown
