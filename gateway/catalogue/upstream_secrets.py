"""The secrets of provider accounts: opened while an adapter is made, sealed in the database."""

import json

from gateway.redaction import hold
from gateway.sealing import MasterKeys, SealError
from gateway.store import secrets
from gateway.store.connection import Connection
from providers.account import BadAccount
from schemas.providers import ProviderRecord, ProviderTerms
from schemas.secrets import SecretName

_OWNER = "provider"
_KEY = "key"
#: The option whose values may be second secrets of an account.
HEADERS = "headers"


def opened(record: ProviderRecord, keys: MasterKeys) -> ProviderTerms:
    """The account with its secrets open.

    Raises:
        BadAccount: when one does not open.
    """
    try:
        found = {
            name: keys.open(SecretName(_OWNER, record.id, name), sealed)
            for name, sealed in record.secrets.items()
        }
    except SealError as error:
        raise BadAccount(f"provider {record.name}: {error}") from None
    for text in found.values():
        hold(text)
    options = dict(record.options)
    if HEADERS in found:
        options[HEADERS] = json.loads(found[HEADERS])
        for value in options[HEADERS].values():
            hold(str(value))
    return ProviderTerms(record.name, record.kind, record.url, found.get(_KEY, ""), options)


async def keep_secrets(
    conn: Connection, provider_id: int, terms: ProviderTerms, keys: MasterKeys
) -> None:
    """Store the secrets of an account, sealed, in place of those before."""
    headers = terms.options.get(HEADERS)
    texts = {_KEY: terms.key, HEADERS: "" if headers is None else json.dumps(headers)}
    for name, text in texts.items():
        secret = SecretName(_OWNER, provider_id, name)
        if text:
            await secrets.set_secret(conn, secret, keys.seal(secret, text))
        else:
            await secrets.delete_secret(conn, secret)
