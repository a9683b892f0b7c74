"""The command line, as in its own folder."""

from tests.cli.conftest import command, forks

__all__ = ["command", "forks"]
