"""Errors that end a command with one line for its user."""


class UserError(Exception):
    """Something that the user can put right; the message is one line and says how. Exit code 2."""
