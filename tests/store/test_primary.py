"""Which server of a URL is used, and what of a URL is refused, without quoting its password."""

import asyncio
import socket
from pathlib import Path

import asyncpg
import pytest

from gateway.store.connection import TRANSIENT, Pool, open_pool
from gateway.store.primary import Address, BadAddress, NoPrimary

_SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("postgresql://u:p@a/d", [("a", 5432)]),
        ("postgres://u:p@a:5433,b:5434/d", [("a", 5433), ("b", 5434)]),
        ("postgresql://u:p@a,b/d", [("a", 5432), ("b", 5432)]),
        ("postgresql://u:p@a,b/d?port=5440", [("a", 5440), ("b", 5440)]),
        ("postgresql://u:p@[::1]:5433,[2001:db8::2]/d", [("::1", 5433), ("2001:db8::2", 5432)]),
        ("postgresql:///d?host=/run/postgresql", [("/run/postgresql", 5432)]),
        ("postgresql://u:p@%2Frun%2Fpostgresql/d", [("/run/postgresql", 5432)]),
    ],
)
def test_all_servers_of_a_url_are_read(url: str, servers: list[tuple[str, int]]) -> None:
    assert list(Address.read(url).servers) == servers


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql://u@a/d", "read-write"),
        ("postgresql://u@a,b/d", "read-write"),
        ("postgresql://u@a,b/d?target_session_attrs=primary", "primary"),
        ("postgresql://u@a,b/d?target_session_attrs=any", "any"),
    ],
)
def test_a_server_that_takes_writes_is_wanted_unless_the_url_says_otherwise(
    url: str, wanted: str
) -> None:
    assert Address.read(url).wanted == wanted


def test_behind_pgbouncer_the_server_is_taken_as_it_is() -> None:
    assert Address.read("postgresql://u@a/d", pgbouncer=True).wanted == "any"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"mysql://u:{_SECRET}@a/d", "does not begin"),
        (f"u:{_SECRET}@a/d", "does not begin"),
        ("postgresql:///d", "names no host"),
        (f"postgresql://u:{_SECRET}@/d", "names no host"),
        (f"postgresql://u:{_SECRET}@a,,b/d", "hosts is empty"),
        (f"postgresql://u:{_SECRET}@a:port/d", "ports is no number"),
        (f"postgresql://u:x?{_SECRET}=@a/d", "a [?] before its @"),
        (f"postgresql://u:x?{_SECRET}@a/d?sslmode=disable", "a [?] before its @"),
        (f"postgresql://u:{_SECRET}@a:70000/d", "ports is no number"),
        (f"postgresql://u:{_SECRET}@a:5432,b:0/d", "ports is no number"),
        (f"postgresql://u:{_SECRET}/x@a/d", "ports is no number"),
        (f"postgresql://u:{_SECRET}@x@a/d", "more than one @"),
        (f"postgresql://u:{_SECRET}@a/d?sslmod=verify-full", "no parameter sslmod"),
        (f"postgresql://u:{_SECRET}@a/d?sslmode=yes", "sslmode is one of disable"),
        (f"postgresql://u:{_SECRET}@a/d?sslrootcert=/nowhere/ca.crt", "no file /nowhere/ca.crt"),
        (f"postgresql://u:{_SECRET}@a,b/d?target_session_attrs=standby", "is one of any"),
        (f"postgresql://u:{_SECRET}@[::1/d", "cannot be read"),
        (f"postgresql://u:{_SECRET}@a/d?x", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_its_reason_alone(url: str, reason: str) -> None:
    with pytest.raises(BadAddress, match=reason) as refused:
        Address.read(url)
    assert _SECRET not in str(refused.value)
    assert _SECRET not in repr(refused.value.__context__)


def _closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


def _behind(*before: str, url: str) -> str:
    """The URL with these servers named before its own."""
    return url.replace("@", "@" + "".join(f"{server}," for server in before))


async def test_a_server_that_is_down_or_silent_is_passed_over_and_then_left_alone(
    database_url: str,
) -> None:
    asked: list[object] = []

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        before = (f"127.0.0.1:{_closed_port()}", f"127.0.0.1:{port}")
        pool = await open_pool(_behind(*before, url=database_url), size=3, connect_seconds=1)
        async with pool.acquire() as one, pool.acquire() as two, pool.acquire() as three:
            for conn in (one, two, three):
                assert await conn.fetchval("select 1") == 1
        assert len(asked) == 1
        await pool.close()


async def test_when_no_server_takes_writes_each_is_told_with_its_reason(
    database_url: str, pool: Pool
) -> None:
    name = await pool.fetchval("select current_database()")
    await pool.execute(f"alter database {name} set default_transaction_read_only = on")
    down = f"127.0.0.1:{_closed_port()}"
    with pytest.raises(NoPrimary, match=rf"{down} refused.*; 127\.0\.0\.1:\d+ is a standby") as no:
        await open_pool(_behind(down, url=database_url), size=1)
    assert isinstance(no.value, TRANSIENT)


async def test_a_connection_whose_server_takes_no_writes_any_more_is_dropped(pool: Pool) -> None:
    async with pool.acquire() as conn:
        before = await conn.fetchval("select pg_backend_pid()")
        await conn.execute("set default_transaction_read_only = on")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as refused:
            await conn.execute("create table note (number int)")
    assert isinstance(refused.value, TRANSIENT)
    async with pool.acquire() as conn:
        assert await conn.fetchval("select pg_backend_pid()") != before
        await conn.execute("create table note (number int)")


async def test_the_kernel_ends_a_connection_to_a_machine_that_is_gone(pool: Pool) -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("SKIPPED, NOT TESTED: only Linux has TCP_USER_TIMEOUT")
    async with pool.acquire() as conn:
        sock = conn._transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
