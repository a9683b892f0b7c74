"""Seals: they open under their own name and key, and nothing else opens them."""

import base64
import os
import re
from dataclasses import replace

import pytest

from gateway.sealing import BadMasterKeys, MasterKeys, SealError, new_key
from schemas.secrets import Sealed, SecretName

_OLD, _NEW = new_key(), new_key()
_NAME = SecretName("provider", 7, "key")


def test_what_is_sealed_opens_again_and_shows_nothing_of_itself() -> None:
    keys = MasterKeys.read(_NEW)
    for text in ("", "a key", "schlüssel \x00 \U0001f511", "x" * 10_000):
        sealed = keys.seal(_NAME, text)
        assert keys.open(_NAME, sealed) == text
        assert not text or text.encode() not in sealed.sealed
        assert sealed.key_id == keys.current
        assert str(sealed.sealed) not in repr(sealed)


def test_the_same_secret_is_never_sealed_twice_alike() -> None:
    keys = MasterKeys.read(_NEW)
    assert len({keys.seal(_NAME, "same").sealed for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    "other",
    [
        SecretName("provider", 8, "key"),
        SecretName("provider", 7, "headers"),
        SecretName("webhook", 7, "key"),
    ],
)
def test_a_seal_that_was_moved_to_another_row_does_not_open(other: SecretName) -> None:
    keys = MasterKeys.read(_NEW)
    with pytest.raises(SealError, match=re.escape(f"the secret {other} does not open")):
        keys.open(other, keys.seal(_NAME, "a key"))


def test_a_seal_that_was_changed_anywhere_does_not_open() -> None:
    keys = MasterKeys.read(_NEW)
    sealed = keys.seal(_NAME, "a key")
    for at in range(len(sealed.sealed)):
        changed = bytearray(sealed.sealed)
        changed[at] ^= 1
        with pytest.raises(SealError):
            keys.open(_NAME, replace(sealed, sealed=bytes(changed)))
    for end in (0, 5, 12, len(sealed.sealed) - 1):
        with pytest.raises(SealError):
            keys.open(_NAME, replace(sealed, sealed=sealed.sealed[:end]))


def test_another_key_under_the_same_id_does_not_open_it() -> None:
    one, two = MasterKeys.read(_OLD), MasterKeys.read(_NEW)
    sealed = one.seal(_NAME, "a key")
    with pytest.raises(SealError):
        two.open(_NAME, Sealed(two.current, sealed.sealed))


def test_the_first_key_seals_and_the_others_still_open() -> None:
    before = MasterKeys.read(_OLD).seal(_NAME, "a key")
    both = MasterKeys.read(f"{_NEW}\n{_OLD}\n")
    assert both.open(_NAME, before) == "a key"
    renewed = both.renew(_NAME, before)
    alone = MasterKeys.read(_NEW)
    assert (renewed.key_id, alone.open(_NAME, renewed)) == (alone.current, "a key")
    with pytest.raises(SealError, match=f"sealed under master key {before.key_id}, which is not"):
        alone.open(_NAME, before)


def test_plain_text_of_an_older_version_is_sealed_and_not_opened() -> None:
    keys = MasterKeys.read(_NEW)
    plain = Sealed(None, b"a key")
    with pytest.raises(SealError, match="not sealed yet: run `smm-gateway migrate`"):
        keys.open(_NAME, plain)
    assert keys.open(_NAME, keys.renew(_NAME, plain)) == "a key"


@pytest.mark.parametrize(
    "text",
    ["", "  ", "short", base64.b64encode(os.urandom(31)).decode(), "ü" * 44, f"{_NEW} {_OLD[:-4]}"],
)
def test_what_is_no_master_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(BadMasterKeys) as refused:
        MasterKeys.read(text)
    assert not any(word in str(refused.value) for word in text.split())


def test_the_id_of_a_key_says_nothing_of_the_key_and_is_its_own() -> None:
    keys = [new_key() for _ in range(100)]
    ids = MasterKeys.read(" ".join(keys)).ids
    assert len(set(ids)) == 100
    assert not any(id_ in key for id_, key in zip(ids, keys, strict=True))
