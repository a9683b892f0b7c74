"""What can go wrong with the bundled engines.

    EmbeddedError
    ├── EnginesNotRunning
    └── EnginesBusy

Every message is one line for a person: what is wrong and what to do.
"""


class EmbeddedError(Exception):
    """The bundled engines cannot be used as asked."""


class EnginesNotRunning(EmbeddedError):
    """Nobody runs engines on this data directory."""


class EnginesBusy(EmbeddedError):
    """Another live process runs the engines of this data directory."""
