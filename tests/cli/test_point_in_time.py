"""Going back to a moment: what was acknowledged by then is there, and nothing that came after."""

import gzip
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.embedded import EmbeddedEngines, erase, superuser_url
from gateway.embedded.archive import archive_folder
from gateway.store.connection import open_pool
from tests.cli.backed_up import Shop, open_shop
from tests.cli.command import Forks
from tests.conftest import eventually
from tests.panel_client import PanelClient
from tests.world import World


@pytest.fixture(scope="module")
async def shop(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path_factory.mktemp("shop"), forks) as opened:
        yield opened


async def _archive(shop: Shop) -> None:
    """Have all that was written so far in the archive, without waiting for the minute to end."""
    url = superuser_url(shop.data_dir)
    file = await shop.superuser("select pg_walfile_name(pg_current_wal_lsn())", url)
    await shop.superuser("select pg_switch_wal()", url)

    async def kept() -> Any:
        return await shop.superuser(
            f"select last_archived_wal >= '{file}' from pg_stat_archiver", url
        )

    await eventually(kept)


async def _links(data_dir: Path) -> dict[int, str]:
    async with EmbeddedEngines(data_dir) as addresses:
        pool = await open_pool(addresses.database_url, size=3)
        rows = await pool.fetch("select id, link from orders")
        await World(pool).assert_sound()
        await pool.close()
    return {row["id"]: row["link"] for row in rows}


async def test_orders_before_the_moment_are_there_and_later_ones_are_not(
    shop: Shop, tmp_path: Path
) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    chance = random.Random(seed)
    customer = await shop.world.reseller("traveller")
    made = await shop.command.json_with_steps("backup", "create", tmp_path / "backups")
    told: list[tuple[int, str, str]] = []  # id, link, and a moment at which it was acknowledged
    async with PanelClient(shop.gateway.api_url, customer.key) as client:
        for number in range(20):
            link = f"https://a.example/{seed}/{number}"
            order = await client.add(shop.service, 100, link)
            async with shop.world.pool.acquire() as conn:
                now = str(await conn.fetchval("select clock_timestamp()"))
            told.append((order, link, now))
    await _archive(shop)

    last = chance.randrange(5, 15)
    to = tmp_path / "then"
    try:
        restored = await shop.command.json_with_steps(
            *("backup", "restore", made["path"], "--to", to, "--until", told[last][2])
        )
        assert restored["audit"] == "ok"
        assert await _links(to) == {order: link for order, link, _ in told[: last + 1]}
        assert restored["next_order_id"] > told[-1][0] + 900_000
        # It writes to an archive of its own: the files of both would have the same names.
        assert archive_folder(to, shop.archive_dir) != Path(made["archive"])
    finally:
        erase(to)

    latest = tmp_path / "latest"
    try:
        await shop.command.json_with_steps(
            *("backup", "restore", made["path"], "--to", latest, "--until", "latest")
        )
        assert await _links(latest) == {order: link for order, link, _ in told}
    finally:
        erase(latest)


async def test_a_moment_after_the_end_of_the_archive_and_a_damaged_archive_are_refused(
    shop: Shop, tmp_path: Path
) -> None:
    made = await shop.command.json_with_steps("backup", "create", tmp_path / "backups")
    await shop.world.reseller("late")
    await _archive(shop)
    to = tmp_path / "to"
    restore = ["backup", "restore", made["path"], "--to", to, "--until"]
    done = await shop.command.run(*restore, "2100-01-01 00:00:00+00")
    assert done.code == 2
    assert "ends before 2100-01-01" in done.error.splitlines()[-1]
    assert not to.exists()

    newest = max(Path(made["archive"]).glob("0*.gz"))
    whole = newest.read_bytes()
    newest.write_bytes(whole[: len(whole) // 2])
    done = await shop.command.run(*restore, "latest")
    newest.write_bytes(whole)
    assert done.code == 2
    assert "could not recover" in done.error.splitlines()[-1]
    assert not to.exists()


async def test_the_archive_never_writes_over_what_it_has(shop: Shop) -> None:
    url = superuser_url(shop.data_dir)
    await shop.world.reseller("somebody")
    await _archive(shop)
    folder = archive_folder(shop.data_dir, shop.archive_dir)
    newest = max(path for path in folder.glob("0*.gz") if len(path.name) == 27)
    following = f"{int(newest.name[:24], 16) + 1:024X}"
    stranger = folder / f"{following}.gz"
    with gzip.open(stranger, "wb") as file:
        file.write(b"somebody else's")
    failed = "select failed_count from pg_stat_archiver"
    before = await shop.superuser(failed, url)
    await shop.world.reseller("somebody-else")
    await shop.superuser("select pg_switch_wal()", url)

    async def refused() -> bool:
        return await shop.superuser(failed, url) != before

    await eventually(refused)
    assert gzip.decompress(stranger.read_bytes()) == b"somebody else's"
    # Once it is out of the way, nothing is missing: the server has kept the file.
    stranger.unlink()
    await shop.world.reseller("third")
    await _archive(shop)
