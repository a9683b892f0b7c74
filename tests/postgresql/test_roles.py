"""The application's role: all of the gateway runs as it, and it can change nothing else."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.store import roles, versions
from gateway.store.connection import Pool, open_pool, transaction
from gateway.store.migrate import migrate
from tests.application_role import APPLICATION, OWNER, as_application
from tests.cli.command import Command
from tests.conftest import OpenGateway, eventually
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import World


@pytest.fixture
async def application(database_url: str, pool: Pool) -> AsyncIterator[Pool]:
    """Connections as the application's role; rights to a database are not copied with one."""
    async with pool.acquire() as conn:
        await roles.set_rights(conn, APPLICATION)
    opened = await open_pool(as_application(database_url), size=5)
    yield opened
    await opened.close()


async def test_everything_from_the_first_key_to_the_last_refund_runs_as_the_application(
    application: Pool, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    world = World(application)
    provider = await world.sandbox(sandbox)
    await sandbox.control("speed", {"seconds": 0.2})
    customer = await world.reseller(funds="100")
    await application.execute("update catalogue_sync set next_at = now()")
    async with (
        open_gateway(refills={"wait_ms": 0}) as gateway,
        PanelClient(gateway.api_url, customer.key) as client,
    ):
        listed = await client.call("services")
        plain = next(s for s in listed if s["type"] == "Default" and s["dripfeed"])
        wanted = {"service": plain["service"], "quantity": 100}
        whole = await client.add(plain["service"], 100, "https://a.example/whole")
        part = await client.add(plain["service"], 100, "https://a.example/?sandbox=partial:40")
        drip = (await client.call("add", **wanted, link="https://a.example/d", runs=2, interval=1))[
            "order"
        ]

        async def ended() -> bool:
            # The second run is due at once, on the database's clock.
            await pool.execute(
                "update schedule set next_run_at = now() where next_run_at is not null"
            )
            await pool.execute("update orders set next_at = now() where state = 'scheduled'")
            told = await client.call("status", orders=f"{whole},{part},{drip}")
            states = [told[str(order)]["status"] for order in (whole, part, drip)]
            return states == ["Completed", "Partial", "Completed"]

        await eventually(ended, seconds=60, every=0.1)
        await eventually(lambda: _synced(pool, provider.id))
    refunds = "select count(*) from entry where cause = 'refund'"
    assert await pool.fetchval(refunds) == 1
    await world.assert_sound()


async def _synced(pool: Pool, provider_id: int) -> bool:
    good = "select good_at is not null from catalogue_sync where provider_id = $1"
    return bool(await pool.fetchval(good, provider_id))


async def test_the_application_makes_ranges_that_it_does_not_own(
    application: Pool, pool: Pool
) -> None:
    await pool.execute("select setval('order_id', 40000000)")
    async with application.acquire() as conn:
        assert await versions.make_order_ranges(conn) == 9
    owners = "select distinct pg_get_userbyid(relowner) from pg_class where relispartition"
    assert [row[0] for row in await pool.fetch(owners)] == [OWNER]


@pytest.mark.parametrize(
    "statement",
    [
        "update entry set amount = 1",
        "delete from entry",
        "truncate entry",
        "update order_event set cause = 'x'",
        "delete from order_event",
        "truncate order_event",
        # A range has its own doors, by which the rights to the whole table would not be asked.
        "update order_event_0 set cause = 'x'",
        "delete from order_event_0",
        "truncate order_event_0",
        "insert into order_event_0 values (1, 1, 'queued', 'sending', 'x')",
        "delete from orders_0",
        "delete from orders",
        "delete from attempt",
        "delete from balance",
        "truncate orders",
        "update migration set sha256 = 'x'",
        "insert into migration (name, sha256) values ('x', 'x')",
        "insert into application_role values ('x')",
        "create table mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "create function mine() returns int language sql as 'select 1'",
        "alter table orders add column mine int",
        "alter table entry disable trigger append_only",
        "drop trigger append_only on entry",
        "drop table entry",
        "drop function refuse_change() cascade",
        "alter function make_order_ranges() reset search_path",
        "select setval('order_id', 1)",
        f"select grant_application('{APPLICATION}', '{{}}', '{{}}', '{{}}', '{{}}')",
        f"set role {OWNER}",
        "set session_replication_role = replica",
        "copy entry to program 'cat'",
        "select pg_read_file('postgresql.conf')",
    ],
)
async def test_what_the_application_must_not_do_is_refused(
    application: Pool, statement: str
) -> None:
    async with application.acquire() as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


async def test_it_may_execute_what_it_needs_of_the_owners_functions_and_no_more(
    application: Pool,
) -> None:
    rows = await application.fetch(
        """select oid::regprocedure::text from pg_proc
            where pronamespace = 'public'::regnamespace and prosecdef
              and has_function_privilege(oid, 'execute')"""
    )
    assert [row[0] for row in rows] == list(roles.CALLABLE)


async def test_functions_with_the_owners_rights_have_a_fixed_search_path(pool: Pool) -> None:
    rows = await pool.fetch("select proname, proconfig from pg_proc where prosecdef")
    assert rows
    for name, config in rows:
        assert config == ["search_path=public, pg_temp"], name


async def test_a_table_that_a_migration_adds_is_the_applications_too(
    application: Pool, pool: Pool
) -> None:
    async with pool.acquire() as conn:
        await conn.execute("create table added (id int)")
        await migrate(conn)
    await application.execute("insert into added values (1)")


async def test_granting_again_takes_away_what_was_given_by_hand(
    application: Pool, pool: Pool
) -> None:
    await pool.execute(f"grant update, delete on entry to {APPLICATION}")
    async with pool.acquire() as conn, transaction(conn):
        await roles.set_rights(conn, APPLICATION)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute("delete from entry")


async def test_grant_says_what_is_left_to_a_superuser(command: Command, pool: Pool) -> None:
    database = await pool.fetchval("select current_database()")
    assert await command.json("database", "grant", APPLICATION) == {
        "role": APPLICATION,
        "left_to_a_superuser": [
            f"alter role {APPLICATION} in database {database} set {name} = '{value}'"
            for name, value in {
                "jit": "off",
                "statement_timeout": "10s",
                "lock_timeout": "3s",
                "idle_in_transaction_session_timeout": "15s",
            }.items()
        ],
    }


@pytest.mark.parametrize(
    ("role", "told"), [("nobody_here", "CREATE ROLE nobody_here LOGIN"), (OWNER, "owns the tables")]
)
async def test_grant_refuses_a_role_that_is_no_application(
    command: Command, role: str, told: str
) -> None:
    assert told in (await command.run("database", "grant", role)).complaint


async def test_grant_by_the_application_itself_is_refused_in_one_line(command: Command) -> None:
    url = command.settings["SMM_DATABASE__URL"]
    done = await command.run("database", "grant", APPLICATION, database__migration_url=url)
    assert "owns the tables" in done.complaint or "only the owner" in done.complaint


async def test_a_role_without_rights_is_told_what_to_run(command: Command, pool: Pool) -> None:
    await pool.execute(f"revoke all on migration from {APPLICATION}")
    assert "smm-gateway database grant" in (await command.run("reseller", "list")).complaint


async def test_the_application_may_not_migrate_in_one_line(command: Command, pool: Pool) -> None:
    await pool.execute("delete from migration where name like '0012%'")
    url = command.settings["SMM_DATABASE__URL"]
    done = await command.run("migrate", database__migration_url=url)
    assert "name the owner's database.migration_url" in done.complaint
    assert str(urlsplit(url).password) not in done.complaint
