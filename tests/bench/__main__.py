"""``python -m tests.bench [SUITE]``: measures the gateway on this machine.

Shipped configuration: durable commits, logs, dispatch. The load generator, the servers, the panel
and the database are processes of their own. Exits with 1 when a target is missed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

import uvloop

from gateway.log import configure_logging
from schemas.config import LogFormat
from tests.bench import dispatch, growth, memory, metrics, requests, tracking

_SUITES = {
    "requests": requests,
    "dispatch": dispatch,
    "tracking": tracking,
    "memory": memory,
    "growth": growth,
    "metrics": metrics,
}


def main() -> int:
    """The command; without a suite it is ``requests``."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    suites = parser.add_subparsers(dest="suite", metavar="SUITE", required=True)
    for name, module in _SUITES.items():
        suite = suites.add_parser(name, help=(module.__doc__ or "").partition("\n")[0])
        module.add_flags(suite)
        suite.add_argument("--json", action="store_true", help="print JSON instead of the table")
        suite.add_argument("--out", type=Path, help="also write the JSON to this file")
        suite.set_defaults(run=module.run)
    given = sys.argv[1:]
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given = ["requests", *given]
    flags = parser.parse_args(given)
    configure_logging("error", LogFormat.TEXT)  # what is printed is the report
    with (
        tempfile.TemporaryDirectory(prefix="smm-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        well, report, text = runner.run(flags.run(flags, Path(folder)))
    if flags.out is not None:
        flags.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report) if flags.json else text)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
