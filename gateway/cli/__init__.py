"""The command line: ``smm-gateway``."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import asyncpg

from gateway.cli import (
    alerts,
    audits,
    backups,
    changes,
    confirmations,
    databases,
    doctor,
    engines,
    jobs,
    keys,
    operators,
    ordering,
    orders,
    prices,
    providers,
    ranges,
    refills,
    reports,
    resellers,
    review,
    routes,
    running,
    sealed_secrets,
    services,
)
from gateway.embedded import EmbeddedError
from gateway.errors import UserError
from gateway.money.ledger import BalanceLocked
from gateway.operators.acting import AlreadyDone
from gateway.store.connection import TRANSIENT, CommitInDoubt
from providers.account import BadAccount

_GROUPS = (
    running,
    resellers,
    keys,
    providers,
    services,
    routes,
    prices,
    changes,
    orders,
    refills,
    review,
    ordering,
    confirmations,
    reports,
    jobs,
    operators,
    ranges,
    audits,
    alerts,
    doctor,
    backups,
    engines,
    databases,
    sealed_secrets,
)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="smm-gateway",
        description="A gateway between resellers of social media services and upstream panels.",
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for group in _GROUPS:
        group.add_commands(commands)
    return top


def _broken_off(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used ({error.strerror}): check its rights and its disk"
    kind = type(error).__name__
    return f"the database broke off, or is busy ({kind}: {error}): check it, and try again"


def main(argv: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one for each end
    """Run one command. 0 is success, 1 a finding (``audit``), 2 what the user can put right."""
    arguments = parser().parse_args(argv)
    try:
        result: int = arguments.run(arguments)
    except AlreadyDone as done:
        print(f"smm-gateway: {done}", file=sys.stderr)
        return 0
    except (UserError, EmbeddedError, BadAccount) as error:
        print(f"smm-gateway: {error}", file=sys.stderr)
        return 2
    except BalanceLocked:
        print("smm-gateway: the balance is in use just now: try again in a moment", file=sys.stderr)
        return 2
    except CommitInDoubt:
        print(
            "smm-gateway: it is not known whether this was done, because the database broke off its"
            " answer: look at what you wanted to change before you repeat it",
            file=sys.stderr,
        )
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except asyncpg.InsufficientPrivilegeError as error:
        print(
            f"smm-gateway: the role of database.url may not do this ({error}): run "
            "`smm-gateway database grant ROLE` with the owner's database.migration_url",
            file=sys.stderr,
        )
        return 2
    except TRANSIENT as error:
        print(f"smm-gateway: {_broken_off(error)}", file=sys.stderr)
        return 2
    return result
