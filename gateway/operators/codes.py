"""One-time codes (TOTP, RFC 6238) and recovery codes."""

import base64
import hashlib
import hmac
import secrets

import pyotp

_STEP_SECONDS = 30
_SEED_BYTES = 20
#: Clocks of phones are wrong by a step, and a code is typed at the end of its time.
_WINDOW = 1
_ISSUER = "smm-gateway"
RECOVERY_CODES = 10
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_GROUPS, _GROUP = 4, 4


def seed_of(key: bytes, cookie: str) -> str:
    """The seed that one session may set up, in base32 as authenticators take it.

    It is made of the session's cookie, which is random and which no database knows: so it is of no
    other session, and there is nothing to keep until a code has confirmed it.
    """
    digest = hmac.digest(key, b"code seed:" + cookie.encode("utf-8", "surrogatepass"), "sha256")
    return base64.b32encode(digest[:_SEED_BYTES]).decode()


def enrolment_uri(seed: str, name: str) -> str:
    """What the QR code of an enrolment says."""
    return pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name=_ISSUER)


def accepted_step(seed: str, code: str, now: float, last: int) -> int | None:
    """The time step of a code that is good now, at ``now`` seconds since 1970; None for others.

    A code is accepted once: steps up to ``last`` are over.
    """
    code = "".join(code.split())
    if not (code.isascii() and code.isdigit()):
        return None
    clock = pyotp.TOTP(seed)
    current = int(now) // _STEP_SECONDS
    for step in range(current - _WINDOW, current + _WINDOW + 1):
        if step > last and secrets.compare_digest(clock.generate_otp(step), code):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Fresh recovery codes, each of 79 bits."""
    return ["-".join(_group() for _ in range(_GROUPS)) for _ in range(RECOVERY_CODES)]


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP))


def recovery_hash(code: str) -> bytes:
    """What the database knows a recovery code by, however it was typed."""
    plain = "".join(c for c in code.casefold() if c.isalnum())
    return hashlib.sha256(plain.encode()).digest()
