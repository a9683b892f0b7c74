"""What operators change about themselves: the password, the second factor, the sessions."""

import time
from collections.abc import Callable

from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.operators.codes import (
    accepted_step,
    new_recovery_codes,
    recovery_hash,
    seed_of,
)
from gateway.operators.passwords import Passwords, require_good
from gateway.operators.seeds import Seeds
from gateway.operators.sessions import Browser, begin
from gateway.store import operator_sessions, operators
from gateway.store.connection import Connection, Pool, transaction
from schemas.operator_accounts import Operator, Session, Stage
from schemas.operators import Act, Actor, Subject


class OwnAccount:
    """Changes an operator asks for about himself; each needs the password or a code again.

    ``key`` makes, of a session's cookie, the seed that is set up there.
    """

    def __init__(
        self,
        pool: Pool,
        passwords: Passwords,
        seeds: Seeds,
        key: bytes,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._key = key
        self._passwords = passwords
        self._seeds = seeds
        self._now = now

    async def change_password(self, session: Session, old: str, new: str, browser: Browser) -> str:
        """Change the password and end all sessions; returns the cookie of a new one.

        Raises:
            UserError: when the old one is wrong; BadPassword when the new one is not taken.
        """
        operator = session.operator
        await self.require_password(operator, old)
        require_good(new, operator.name)
        if old == new:
            raise UserError("this is your password already: take another one")
        hashed = await self._passwords.hash(new)
        async with self._pool.acquire() as conn, transaction(conn):
            operator = await _locked(conn, session)
            await operators.set_password(conn, operator.id, hashed)
            await operators.delete_welcomes(conn, operator.id)
            await _record(conn, session, browser, "operator.password_changed")
            return await _anew(conn, operator, browser)

    async def require_password(self, operator: Operator, password: str) -> None:
        """Raise UserError unless this is the operator's password."""
        async with self._pool.acquire() as conn:
            kept = await operators.get_password(conn, operator.id)
        if not await self._passwords.matches(password, kept):
            raise UserError("your present password is another one: type it again")

    def seed_for(self, cookie: str) -> str:
        """The seed of a second factor that is set up in the session of this cookie."""
        return seed_of(self._key, cookie)

    async def confirm_seed(
        self, session: Session, cookie: str, code: str, browser: Browser
    ) -> tuple[str, list[str]]:
        """Set the second factor up with a first code; all sessions end.

        Returns the cookie of a new session, and recovery codes, which are shown once.

        Raises:
            UserError: when the code is wrong, or a second factor is set up already.
        """
        async with self._pool.acquire() as conn, transaction(conn):
            operator = await _locked(conn, session)
            if operator.has_second_factor:
                raise UserError("your second factor is set up already")
            seed = self.seed_for(cookie)
            step = accepted_step(seed, code, self._now(), 0)
            if step is None:
                raise UserError(
                    "this code is wrong: type the one that the app shows now, and check that the "
                    "phone's clock is right"
                )
            await self._seeds.keep(conn, operator.id, seed)
            await operators.set_code_step(conn, operator.id, step)
            found = await _give_recovery_codes(conn, operator.id)
            await _record(conn, session, browser, "operator.second_factor_set")
            return await _anew(conn, operator, browser), found

    async def recovery_codes(self, session: Session, password: str, browser: Browser) -> list[str]:
        """Fresh recovery codes in place of all before.

        Raises:
            UserError: when the password is wrong, or there is no second factor.
        """
        await self.require_password(session.operator, password)
        async with self._pool.acquire() as conn, transaction(conn):
            operator = await operators.lock_operator(conn, session.operator.id)
            if operator is None or not operator.has_second_factor:
                raise UserError("recovery codes go with a second factor: set one up first")
            await _record(conn, session, browser, "operator.recovery_codes_made")
            return await _give_recovery_codes(conn, operator.id)

    async def remaining_codes(self, operator: Operator) -> int:
        """How many recovery codes are left."""
        async with self._pool.acquire() as conn:
            return await operators.count_recovery_codes(conn, operator.id)


async def _give_recovery_codes(conn: Connection, operator_id: int) -> list[str]:
    found = new_recovery_codes()
    await operators.delete_recovery_codes(conn, operator_id)
    await operators.insert_recovery_codes(conn, operator_id, [recovery_hash(c) for c in found])
    return found


async def _locked(conn: Connection, session: Session) -> Operator:
    """The session's operator as he is now, locked.

    Raises:
        UserError: when the session was ended meanwhile, as a lock or a reset does.
    """
    operator = await operators.lock_operator(conn, session.operator.id)
    alive = await operator_sessions.delete_session(conn, session.operator.id, session.id)
    if operator is None or not operator.enabled or not alive:
        raise UserError("your session has ended: sign in again")
    return operator


async def _anew(conn: Connection, operator: Operator, browser: Browser) -> str:
    """End all sessions, and begin one in this browser."""
    await operator_sessions.delete_sessions(conn, operator.id)
    return await begin(conn, operator, Stage.FULL, browser)


async def _record(conn: Connection, session: Session, browser: Browser, action: str) -> None:
    operator = session.operator
    actor = Actor(operator.name, operator.role, browser.address)
    await record(conn, Act(actor, action, Subject("operator", operator.name)))
