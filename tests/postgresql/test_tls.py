"""TLS to the database: verify-full works, a stranger's certificate and plain text do not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config import load_settings
from gateway.database import connect
from gateway.errors import UserError
from tests.postgresql.tls_server import TlsServer, make_authority, need_tls


@pytest.fixture(scope="module")
async def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Who signed the server's certificate."""
    need_tls()
    return await make_authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
async def server(
    authority: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TlsServer]:
    """A server that takes TLS alone."""
    async with TlsServer(tmp_path_factory.mktemp("tls"), authority) as started:
        yield started


async def test_verify_full_connects_and_the_connection_is_encrypted(
    server: TlsServer, authority: Path
) -> None:
    url = server.url(sslmode="verify-full", sslrootcert=authority)
    pool = await connect(load_settings(), url)
    used = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
    assert await pool.fetchval(used) is True
    await pool.close()


async def test_a_certificate_of_another_authority_is_refused_in_one_line(
    server: TlsServer, tmp_path: Path
) -> None:
    stranger = await make_authority(tmp_path, "stranger")
    with pytest.raises(UserError, match=r"certificate is not trusted .* sslrootcert"):
        await connect(load_settings(), server.url(sslmode="verify-full", sslrootcert=stranger))


async def test_a_certificate_for_another_name_is_refused_in_one_line(
    server: TlsServer, authority: Path
) -> None:
    url = server.url("127.0.0.1", sslmode="verify-full", sslrootcert=authority)
    with pytest.raises(UserError, match="certificate is not trusted"):
        await connect(load_settings(), url)


async def test_plain_text_is_refused_by_the_server_in_one_line(server: TlsServer) -> None:
    with pytest.raises(UserError, match="no encryption"):
        await connect(load_settings(), server.url(sslmode="disable"))


async def test_several_servers_are_each_verified(server: TlsServer, authority: Path) -> None:
    url = server.url(f"127.0.0.1:1,localhost:{server.port},localhost", sslmode="verify-full")
    url = url.replace(f",localhost:{server.port}/", "/")
    pool = await connect(load_settings(), f"{url}&sslrootcert={authority}")
    assert await pool.fetchval("select 1") == 1
    await pool.close()
