"""Takes secrets out of text that is logged: by name, by shape, and word for word.

Word for word are those that this process holds itself: they are registered when they are read, so
that no call site, library or traceback can print one.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import BaseModel, SecretStr

MASK = "***"

_SECRET_NAMES = frozenset(
    {"key", "apikey", "password", "passwd", "pwd", "pepper", "authorization", "token"}
    | {"cookie", "secret", "signature", "totp", "seed", "otp", "master_keys"}
)
#: What names of secrets end in; ``key_id`` is no secret.
_SECRET_ENDS = ("_key", "_token", "_secret", "_password", "_pepper", "_signature", "_cookie")

_KEY_SHAPE = re.compile(r"smm_[0-9A-Za-z]{8,}")
# Bounded, because a long text of beginnings would else be read to its end from each of them.
_URL_PASSWORD = re.compile(r"(://[^:/@\s]{0,200}:)[^@\s]{1,200}@")
_WORDS = "key|token|secret|password|passwd|pepper|signature|cookie|authorization"
_NAME = rf"(?:[\w-]{{0,40}}[_-])?(?:{_WORDS})"
_FORM_KEY = re.compile(rf"(?i)\b({_NAME})=[^&\s\"']+")
_JSON_KEY = re.compile(rf"(?i)([\"']{_NAME}[\"']\s*:\s*)(?:\"[^\"]*\"?|'[^']*'?)")
_HEADER = re.compile(r"(?i)\b(authorization|cookie|set-cookie|x-api-key)(\s*:\s*)[^\r\n]+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")
_CARD = re.compile(r"(?<!\d)(?:\d[ -]?){12,15}\d(?!\d)")

#: Shorter words occur in ordinary text; masking them would change its meaning.
_SHORTEST_SECRET = 6
_LONG = 32
_LUHN = 10
_LARGEST_DIGIT = 9

#: The secrets that this process holds, in every usual spelling.
_held: set[str] = set()


def hold(secret: str) -> None:
    """Never let this text be logged, in whatever usual escaping."""
    for text in {secret, secret.strip()}:
        if len(text) >= _SHORTEST_SECRET:
            _held.update({text, json.dumps(text)[1:-1], quote(text, safe=""), quote_plus(text)})


def hold_settings(settings: BaseModel) -> None:
    """Hold every secret of these settings, and the passwords of their URLs."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            hold_settings(value)
        elif isinstance(value, SecretStr):
            text = value.get_secret_value()
            if "://" in text:
                _hold_password(text)
            else:
                # Several keys in one setting; the words of a phrase are none by themselves.
                for word in {text, *(word for word in text.split() if len(word) >= _LONG)}:
                    hold(word)


def _hold_password(url: str) -> None:
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        hold(password)


def is_secret_name(name: str) -> bool:
    """Whether a field of that name holds a secret."""
    plain = name.lower().replace("-", "_")
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDS)


def mask(text: str) -> str:
    """The text without what is, or looks like, a secret."""
    found = [held for held in _held if held in text]
    # Short ones may be words by which other secrets are found: they come last.
    text = _without_held(text, [held for held in found if len(held) >= _LONG])
    text = _CARD.sub(_without_card, _without_shapes(text))
    return _without_held(text, found)


def _without_held(text: str, found: list[str]) -> str:
    # The longest first: one secret may be a part of another, whose rest would stay.
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _without_shapes(text: str) -> str:
    # The plain searches come first because nearly every text is harmless.
    if "smm_" in text:
        text = _KEY_SHAPE.sub("smm_" + MASK, text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1{MASK}@", text)
    if "=" in text:
        text = _FORM_KEY.sub(rf"\1={MASK}", text)
    if ":" in text:
        text = _HEADER.sub(rf"\1\2{MASK}", text)
        text = _JSON_KEY.sub(rf'\1"{MASK}"', text)
    if " " in text:
        text = _BEARER.sub(rf"\1 {MASK}", text)
    return text


def _without_card(found: re.Match[str]) -> str:
    """Numbers of cards have a check digit; most ids that are as long have not."""
    digits = [int(character) for character in found.group() if character.isdecimal()]
    doubled = [digit if place % 2 == 0 else digit * 2 for place, digit in enumerate(digits[::-1])]
    total = sum(digit - _LARGEST_DIGIT if digit > _LARGEST_DIGIT else digit for digit in doubled)
    return MASK if total % _LUHN == 0 else found.group()


def masked(value: Any) -> Any:
    """The value without secrets, however deep they lie."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {
            key: MASK if is_secret_name(str(key)) else masked(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set):
        return value if all(isinstance(item, int) for item in value) else list(map(masked, value))
    if isinstance(value, bool | int | float | None):
        return value
    return mask(str(value))
