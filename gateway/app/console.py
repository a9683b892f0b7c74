"""The operators' console of a process: its listener, and what its pages work with."""

from contextlib import AsyncExitStack
from functools import partial

from gateway.app.core import Core
from gateway.app.listening import listen
from gateway.config import require_peppers
from gateway.operators.own_account import OwnAccount
from gateway.operators.passwords import Passwords
from gateway.operators.seeds import Seeds
from gateway.operators.sessions import forget_dead_sessions
from gateway.operators.signing_in import SigningIn
from gateway.web.exchange import Exchange
from gateway.web.ops.attempts import SignInAttempts, attempts_bucket
from gateway.web.ops.console import Console
from gateway.web.ops.services import Services, form_key_of
from gateway.web.ops.templating import templates
from gateway.workers.loop import Loop

_FORGET_SECONDS = 600.0


async def open_console(stack: AsyncExitStack, core: Core, redis_url: str) -> str:
    """Answer operators until the stack closes; returns where.

    Raises:
        UserError: when the address cannot be taken.
    """
    settings = core.settings
    pepper = require_peppers(settings).current
    exchange = Exchange(redis_url)
    attempts = exchange.leases(partial(attempts_bucket, database=core.database, pepper=pepper))
    exchange.start()
    stack.push_async_callback(exchange.stop)
    passwords, seeds = Passwords(), Seeds(core.keys)
    signing_in = SigningIn(core.pool, passwords, seeds, codes_required=not settings.ops.development)
    form_key = form_key_of(pepper)
    services = Services(
        settings=settings,
        pool=core.pool,
        templates=templates(),
        form_key=form_key,
        attempts=SignInAttempts(attempts, form_key),
        signing_in=signing_in,
        own_account=OwnAccount(core.pool, passwords, seeds, form_key),
        seeds=seeds,
        keys=core.keys,
    )

    async def forget() -> float:
        await forget_dead_sessions(core.pool)
        return _FORGET_SECONDS

    loop = Loop("sessions", forget)
    loop.start()
    stack.push_async_callback(loop.stop)
    return await listen(stack, Console(services).app(), settings.ops, "ops.port")
