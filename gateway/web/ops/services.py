"""What the console's pages work with: one object for all of them."""

import hmac
from dataclasses import dataclass

from jinja2 import Environment

from gateway.config import Settings
from gateway.operators.own_account import OwnAccount
from gateway.operators.seeds import Seeds
from gateway.operators.signing_in import SigningIn
from gateway.sealing import MasterKeys
from gateway.store.connection import Pool
from gateway.web.ops.attempts import SignInAttempts


@dataclass(frozen=True, slots=True)
class Services:
    """Settings, database, and the use cases that keep something between calls."""

    settings: Settings
    pool: Pool
    templates: Environment
    form_key: bytes
    attempts: SignInAttempts
    signing_in: SigningIn
    own_account: OwnAccount
    seeds: Seeds
    keys: MasterKeys


def form_key_of(pepper: bytes) -> bytes:
    """What the tokens of forms are made with."""
    return hmac.digest(pepper, b"console forms", "sha256")
