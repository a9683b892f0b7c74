"""What was accepted stays accepted: journals, kill -9, restarts."""

import asyncio
import json
import os
import signal
import stat
import threading
from pathlib import Path

import aiohttp
import pytest

from providers.sandbox.journal import DurableJournal, JournalInUse, read_records
from tests.sandbox.conftest import Launch
from tests.sandbox_process import SandboxProcess

LINK = "https://example.com/p/1"


async def test_append_returns_after_the_sync_and_shares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_sync, syncs = threading.Event(), []

    def sync(handle: int) -> None:
        assert may_sync.wait(30)
        syncs.append(handle)

    monkeypatch.setattr(os, "fdatasync", sync)
    journal = DurableJournal(tmp_path / "journal")
    first = asyncio.create_task(journal.append({"n": 0}))
    done, _ = await asyncio.wait([first], timeout=0.1)
    assert not done
    others = [asyncio.create_task(journal.append({"n": n})) for n in range(1, 100)]
    await asyncio.sleep(0)
    may_sync.set()
    await asyncio.gather(first, *others)
    await journal.close()
    assert len(syncs) == 2
    assert [record["n"] for record in read_records(tmp_path / "journal")] == list(range(100))


async def test_an_order_has_no_name_before_it_is_on_disk(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = await launch()
    may_sync = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda handle: may_sync.wait(30))
    adding = asyncio.create_task(panel.add())
    while not panel.accepted():
        await asyncio.sleep(0.01)
    early = await panel.call("status", order=23501)
    answered = adding.done()
    may_sync.set()
    assert (early, answered) == ({"error": "Incorrect order ID"}, False)
    assert await adding == {"order": 23501}
    assert (await panel.call("status", order=23501))["status"] == "Pending"


async def test_a_failed_sync_is_told_to_everyone_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(handle: int) -> None:
        raise OSError("no space left")

    journal = DurableJournal(tmp_path / "journal")
    monkeypatch.setattr(os, "fdatasync", fail)
    results = await asyncio.gather(
        *(journal.append({"n": n}) for n in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [OSError] * 3
    await journal.close()


async def test_a_torn_line_is_cut_and_a_damaged_one_is_not_hidden(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"n":1}\n{"n":2')
    assert read_records(path) == [{"n": 1}]
    journal = DurableJournal(path)
    await journal.append({"n": 3})
    await journal.close()
    assert read_records(path) == [{"n": 1}, {"n": 3}]
    path.write_bytes(b'{"n":1\n{"n":2}\n')
    with pytest.raises(ValueError, match="delimiter"):
        read_records(path)


async def test_one_directory_has_one_panel(launch: Launch) -> None:
    await launch()
    with pytest.raises(JournalInUse):
        await launch()


async def test_everything_answered_survives_kill_9(tmp_path: Path) -> None:
    async with SandboxProcess(tmp_path / "panel", balance="1000") as panel:
        url, key = panel.url, panel.key
        await panel.control("faults", {"fault": "partial:30"})
        first = (await panel.call("add", service=101, link=LINK, quantity=1000))["order"]
        second = (await panel.call("add", service=101, link=LINK, quantity=1000))["order"]
        await panel.control("advance", {"work": 1})
        refill = await panel.call("refill", order=second)
        third = (await panel.call("add", service=101, link=LINK, quantity=1000))["order"]
        await panel.call("cancel", orders=third)
        before = await panel.call("status", orders=f"{first},{second},{third}")
        balance = await panel.call("balance")
        await panel.restart()
        assert (panel.url, panel.key) == (url, key)
        assert await panel.call("status", orders=f"{first},{second},{third}") == before
        assert await panel.call("balance") == balance == {"balance": "998.572", "currency": "USD"}
        assert await panel.call("refill_status", **refill) == {"status": "Pending"}
        assert await panel.call("add", service=101, link=LINK, quantity=10) == {"order": third + 1}
        assert len(panel.received()) == len(panel.accepted()) == 4
    assert stat.S_IMODE((tmp_path / "panel" / "api_key").stat().st_mode) == 0o600


async def test_kill_9_under_load_loses_no_answered_order(tmp_path: Path) -> None:
    panel = SandboxProcess(tmp_path / "panel")
    told: list[int] = []

    async def order_on(session: aiohttp.ClientSession, worker: int) -> None:
        form = {"key": panel.key, "action": "add", "service": "101", "quantity": "10"}
        try:
            for number in range(10_000):
                form["link"] = f"https://example.com/{worker}/{number}"
                async with session.post(panel.url, data=form) as answer:
                    told.append(json.loads(await answer.read())["order"])
        except aiohttp.ClientError:
            return

    for _ in range(3):
        await panel.start()
        target = len(told) + 200
        async with aiohttp.ClientSession() as session:
            workers = [asyncio.create_task(order_on(session, w)) for w in range(16)]
            while len(told) < target:
                await asyncio.sleep(0.005)
            await panel.kill()
            await asyncio.gather(*workers)
    accepted = [line["order"] for line in panel.accepted()]
    assert len(set(told)) == len(told)
    assert set(told) <= set(accepted)
    assert accepted == list(range(accepted[0], accepted[0] + len(accepted)))
    assert len(panel.received()) >= len(accepted)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_even_while_an_answer_hangs(
    tmp_path: Path, number: signal.Signals
) -> None:
    panel = SandboxProcess(tmp_path / "panel")
    await panel.start()
    link = LINK + "?sandbox=hang-after"
    hanging = asyncio.create_task(panel.call("add", service=101, link=link, quantity=10))
    while not panel.accepted():
        await asyncio.sleep(0.01)
    assert await panel.stop(number) == 0
    with pytest.raises(aiohttp.ClientError):
        await hanging
