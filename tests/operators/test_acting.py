"""The operators' log: what was done, once, and never rewritten."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from gateway.errors import UserError
from gateway.operators.acting import AlreadyDone, at_the_command_line, record
from gateway.store import operator_actions as store
from gateway.store.connection import Pool, transaction
from schemas.operators import Act, Actor, Role, Subject

_ACTOR = Actor("deniz", Role.MANAGER, "192.0.2.7")
_SUBJECT = Subject("reseller", "anka")


async def test_an_act_is_kept_with_who_did_it_to_what_and_why(pool: Pool) -> None:
    act = Act(
        _ACTOR,
        "reseller.credited",
        _SUBJECT,
        reason="bank transfer of 4 May",
        before={"balance": "1.00"},
        after={"balance": "26.00"},
    )
    async with pool.acquire() as conn, transaction(conn):
        await record(conn, act)
    async with pool.acquire() as conn:
        [kept] = await store.list_actions(conn, subject=_SUBJECT)
        assert await store.list_actions(conn, subject=Subject("reseller", "other")) == []
    assert (kept.actor, kept.role, kept.address) == ("deniz", Role.MANAGER, "192.0.2.7")
    assert (kept.action, kept.reason) == (act.action, act.reason)
    assert (kept.before, kept.after) == (act.before, act.after)


async def test_of_many_repeats_of_one_request_a_single_one_goes_through(pool: Pool) -> None:
    act = Act(_ACTOR, "reseller.credited", _SUBJECT, reason="twice", request=str(uuid4()))

    async def once() -> bool:
        try:
            async with pool.acquire() as conn, transaction(conn):
                await record(conn, act)
        except AlreadyDone:
            return False
        return True

    assert sum(await asyncio.gather(*(once() for _ in range(8)))) == 1
    async with pool.acquire() as conn:
        assert len(await store.list_actions(conn)) == 1


async def test_a_request_whose_transaction_failed_may_be_made_again(pool: Pool) -> None:
    act = Act(_ACTOR, "reseller.credited", _SUBJECT, reason="again", request=str(uuid4()))

    async def fail() -> None:
        async with pool.acquire() as conn, transaction(conn):
            await record(conn, act)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with pool.acquire() as conn, transaction(conn):
        await record(conn, act)


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "a\0b", "x" * 1001])
async def test_a_reason_that_says_nothing_or_breaks_a_page_is_refused(
    pool: Pool, reason: str
) -> None:
    with pytest.raises(UserError, match="reason"):
        async with pool.acquire() as conn, transaction(conn):
            await record(conn, Act(_ACTOR, "order.noted", Subject("order", "7"), reason=reason))


@pytest.mark.parametrize(
    "statement",
    [
        "update operator_action set actor = 'x'",
        "delete from operator_action",
        "truncate operator_action",
    ],
)
async def test_not_even_the_owner_rewrites_the_log(pool: Pool, statement: str) -> None:
    async with pool.acquire() as conn:
        async with transaction(conn):
            await record(conn, Act(_ACTOR, "order.noted", Subject("order", "7"), reason="seen"))
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute(statement)


def test_a_role_covers_those_below_it() -> None:
    assert Role.OWNER.covers(Role.VIEWER)
    assert Role.SUPPORT.covers(Role.SUPPORT)
    assert not Role.SUPPORT.covers(Role.MANAGER)
    assert at_the_command_line().role is Role.OWNER
