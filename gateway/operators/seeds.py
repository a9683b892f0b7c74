"""Seeds of second factors, sealed."""

from gateway.sealing import MasterKeys
from gateway.store import secrets
from gateway.store.connection import Connection
from schemas.secrets import SecretName


def _name(operator_id: int) -> SecretName:
    return SecretName("operator", operator_id, "code_seed")


def _next_name(operator_id: int) -> SecretName:
    return SecretName("operator", operator_id, "next_code_seed")


class Seeds:
    """Keeps a seed for each operator who has a second factor, under the master keys.

    One that is not confirmed by a code yet is kept apart, as the next one. All raise ``SealError``
    for a seed that does not open.
    """

    def __init__(self, keys: MasterKeys) -> None:
        self._keys = keys

    async def read(self, conn: Connection, operator_id: int) -> str | None:
        """An operator's seed; None where there is none."""
        return await self._read(conn, _name(operator_id))

    async def read_next(self, conn: Connection, operator_id: int) -> str | None:
        """The seed that is being set up; None where there is none."""
        return await self._read(conn, _next_name(operator_id))

    async def keep_next(self, conn: Connection, operator_id: int, seed: str) -> None:
        """Keep a seed that is being set up."""
        await self._keep(conn, _next_name(operator_id), seed)

    async def confirm(self, conn: Connection, operator_id: int, seed: str) -> None:
        """Make the next seed the operator's own."""
        await self._keep(conn, _name(operator_id), seed)
        await secrets.delete_secret(conn, _next_name(operator_id))

    async def forget(self, conn: Connection, operator_id: int) -> None:
        """Forget an operator's seeds."""
        await secrets.delete_secret(conn, _name(operator_id))
        await secrets.delete_secret(conn, _next_name(operator_id))

    async def _read(self, conn: Connection, name: SecretName) -> str | None:
        sealed = await secrets.get_secret(conn, name)
        return self._keys.open(name, sealed) if sealed else None

    async def _keep(self, conn: Connection, name: SecretName, seed: str) -> None:
        await secrets.set_secret(conn, name, self._keys.seal(name, seed))
