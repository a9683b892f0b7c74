"""The bundled PostgreSQL and Valkey, for a machine that has no servers of its own."""

from gateway.embedded.archive import archive_folder
from gateway.embedded.engines import EmbeddedEngines
from gateway.embedded.erase import erase
from gateway.embedded.errors import EmbeddedError, EnginesBusy, EnginesNotRunning
from gateway.embedded.state import Addresses, running_addresses, superuser_url

__all__ = [
    "Addresses",
    "EmbeddedEngines",
    "EmbeddedError",
    "EnginesBusy",
    "EnginesNotRunning",
    "archive_folder",
    "erase",
    "running_addresses",
    "superuser_url",
]
