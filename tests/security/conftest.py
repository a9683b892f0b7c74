"""The command line, as the tests of the commands have it."""

from tests.cli.conftest import command, forks

__all__ = ["command", "forks"]
