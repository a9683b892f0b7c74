"""Asking a panel how it wants to be spoken to, on an operator's word."""

import asyncio

from gateway.catalogue.upstream_secrets import opened
from gateway.catalogue.upstreams import account_of, find_provider, timeouts
from gateway.operators.acting import record
from gateway.sealing import MasterKeys
from gateway.store.connection import Pool, transaction
from providers.findings import Finding, Report
from providers.probing import ListeningTransport, Questions, probe
from schemas.config import DispatchSettings
from schemas.operators import Subject, Warrant

_PAUSE_SECONDS = 0.2


async def probe_provider(
    pool: Pool, name: str, settings: DispatchSettings, keys: MasterKeys, warrant: Warrant
) -> tuple[list[Finding], Report]:
    """What a panel's answers to read-only calls show; that it was asked is logged.

    Raises:
        AlreadyDone: when the same request has asked before.
        BadAccount: when the account's secrets do not open.
        UserError: when there is no such account.
    """
    async with pool.acquire() as conn, transaction(conn):
        account = await find_provider(conn, name)
        await record(conn, warrant.act("provider.probed", Subject("provider", name)))
    findings: list[Finding] = []

    async def pause() -> None:
        await asyncio.sleep(_PAUSE_SECONDS)

    async with ListeningTransport(timeouts(settings), pause) as transport:
        terms = account_of(opened(account, keys))
        report = await probe(account.kind, terms, transport, Questions(), findings.append)
    return findings, report
