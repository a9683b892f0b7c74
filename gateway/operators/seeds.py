"""Seeds of second factors, sealed."""

from gateway.sealing import MasterKeys
from gateway.store import secrets
from gateway.store.connection import Connection
from schemas.secrets import SecretName


def _name(operator_id: int) -> SecretName:
    return SecretName("operator", operator_id, "code_seed")


class Seeds:
    """Keeps a seed for each operator who has a second factor, under the master keys.

    One that no code has confirmed is not kept (``codes.seed_of``). ``read`` raises ``SealError``
    for a seed that does not open.
    """

    def __init__(self, keys: MasterKeys) -> None:
        self._keys = keys

    async def read(self, conn: Connection, operator_id: int) -> str | None:
        """An operator's seed; None where there is none."""
        sealed = await secrets.get_secret(conn, _name(operator_id))
        return self._keys.open(_name(operator_id), sealed) if sealed else None

    async def keep(self, conn: Connection, operator_id: int, seed: str) -> None:
        """Make a seed the operator's own."""
        name = _name(operator_id)
        await secrets.set_secret(conn, name, self._keys.seal(name, seed))

    async def forget(self, conn: Connection, operator_id: int) -> None:
        """Forget an operator's seed."""
        await secrets.delete_secret(conn, _name(operator_id))
