"""Signing in: a password, then a one-time code where a second factor is set up or required.

What was wrong is never told: no such operator, one who may not sign in, one without a password and
a wrong password look the same and take the same time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.operators.acting import record
from gateway.operators.codes import accepted_step, recovery_hash
from gateway.operators.passwords import Passwords, require_good
from gateway.operators.seeds import Seeds
from gateway.operators.sessions import Browser, begin, hash_of
from gateway.store import operator_sessions, operators
from gateway.store.connection import Connection, Pool, transaction
from schemas.operator_accounts import Operator, Session, Stage
from schemas.operators import Act, Actor, Role, Subject

log = structlog.get_logger()

#: Who may move money needs a second factor.
_SECOND_FACTOR_FROM = Role.MANAGER


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that has just begun: the cookie's value, and what is still to come."""

    value: str
    stage: Stage


class SigningIn:
    """Lets operators in. ``now`` is the time in seconds since 1970, which codes go by.

    Where ``codes_required`` is not set, as in development, nobody needs a second factor; who has
    one is asked for it all the same.
    """

    def __init__(
        self,
        pool: Pool,
        passwords: Passwords,
        seeds: Seeds,
        *,
        codes_required: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._passwords = passwords
        self._seeds = seeds
        self._codes_required = codes_required
        self._now = now

    async def with_password(
        self, name: str, password: str, browser: Browser, *, known: bool
    ) -> Begun | None:
        """Begin a session for the right password; None for anything else.

        ``name`` is an ``account_name``; ``known`` is a browser in which it has signed in before.

        Raises:
            TooManyStrangers: when too many others try just now.
        """
        async with self._pool.acquire() as conn:
            operator = await operators.get_operator(conn, name)
            usable = operator is not None and operator.enabled
            kept = await operators.get_password(conn, operator.id) if operator and usable else None
        if not await self._passwords.matches(password, kept, known=known) or operator is None:
            who = operator.name if operator else None
            log.warning("operator.refused", operator=who, address=browser.address)
            return None
        async with self._pool.acquire() as conn, transaction(conn):
            # Hashing takes its time: what was true before it may not be any more.
            locked = await operators.lock_operator(conn, operator.id)
            same = await operators.get_password(conn, operator.id) == kept
            if locked is None or not locked.enabled or not same:
                log.warning("operator.refused", operator=operator.name, address=browser.address)
                return None
            return await self._begin(conn, locked, browser)

    def stage_of(self, operator: Operator) -> Stage:
        """What comes after an operator's password."""
        if operator.has_second_factor:
            return Stage.CODE
        needed = self._codes_required and operator.role.covers(_SECOND_FACTOR_FROM)
        return Stage.ENROL if needed else Stage.FULL

    async def _begin(self, conn: Connection, operator: Operator, browser: Browser) -> Begun:
        stage = self.stage_of(operator)
        if stage is Stage.FULL:
            await record(conn, _signed_in(operator, browser, "password"))
        return Begun(await begin(conn, operator, stage, browser), stage)

    async def with_code(self, session: Session, code: str, browser: Browser) -> Begun | None:
        """Go on with a one-time or recovery code, in a new session; None for a wrong one."""
        operator = session.operator
        async with self._pool.acquire() as conn, transaction(conn):
            locked = await operators.lock_operator(conn, operator.id)
            if locked is None or not await self._accepts(conn, locked, code):
                log.warning("operator.code_refused", operator=operator.name)
                return None
            if not await operator_sessions.delete_session(conn, operator.id, session.id):
                return None  # what ended it meanwhile holds for this step too
            await record(conn, _signed_in(locked, browser, "password and code"))
            return Begun(await begin(conn, locked, Stage.FULL, browser), Stage.FULL)

    async def _accepts(self, conn: Connection, operator: Operator, code: str) -> bool:
        seed = await self._seeds.read(conn, operator.id)
        if operator.code_step is None or seed is None:
            return False
        step = accepted_step(seed, code, self._now(), operator.code_step)
        if step is not None:
            await operators.set_code_step(conn, operator.id, step)
            return True
        return await operators.delete_recovery_code(conn, operator.id, recovery_hash(code))

    async def welcomed(self, token: str) -> Operator | None:
        """Whom a welcome link is for; None when it leads nowhere any more."""
        async with self._pool.acquire() as conn:
            return await operators.get_welcomed(conn, hash_of(token))

    async def with_welcome(self, token: str, password: str, browser: Browser) -> Begun | None:
        """Set the password of whoever has the link, and begin a session; None for an old link.

        Raises:
            BadPassword: for a password that is not taken; the link stays good.
        """
        operator = await self.welcomed(token)
        if operator is None:
            return None
        require_good(password, operator.name)
        hashed = await self._passwords.hash(password)
        async with self._pool.acquire() as conn, transaction(conn):
            locked = await operators.lock_operator(conn, operator.id)
            if locked is None or not locked.enabled:
                return None
            if not await operators.delete_welcome(conn, locked.id, hash_of(token)):
                return None
            await operators.set_password(conn, locked.id, hashed)
            await operator_sessions.delete_sessions(conn, locked.id)
            actor = Actor(locked.name, locked.role, browser.address)
            await record(conn, Act(actor, "operator.password_set", _subject(locked)))
            return await self._begin(conn, locked, browser)

    async def leave(self, session: Session) -> None:
        """Sign out."""
        async with self._pool.acquire() as conn, transaction(conn):
            await operator_sessions.delete_session(conn, session.operator.id, session.id)


def _subject(operator: Operator) -> Subject:
    return Subject("operator", operator.name)


def _signed_in(operator: Operator, browser: Browser, how: str) -> Act:
    actor = Actor(operator.name, operator.role, browser.address)
    return Act(actor, "operator.signed_in", _subject(operator), after={"by": how})
