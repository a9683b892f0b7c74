"""The conformance suite, for each adapter that is registered."""

from collections.abc import Mapping
from typing import ClassVar

import pytest

from providers.account import BadAccount, ProviderAccount
from providers.registry import UnknownKind, create_provider, provider_kinds
from providers.transport import Transport
from tests.providers.conformance import ByHandConformance, ProviderConformance
from tests.providers.wire import KEY

ACCOUNT = ProviderAccount("main", "http://127.0.0.1:1/api/v2", KEY)


class TestPanelV2(ProviderConformance):
    kind = "panel_v2"


class TestPanelV2ByGet(ProviderConformance):
    kind = "panel_v2"
    options: ClassVar[Mapping[str, object]] = {"method": "GET", "key_in": "header"}
    method = "GET"


class TestPanelV2InJson(ProviderConformance):
    kind = "panel_v2"
    options: ClassVar[Mapping[str, object]] = {
        "encoding": "json",
        "key_in": "bearer",
        "response_paths": {"order": "result.id", "status": "result"},
        "status_batch": 1,
    }
    accepted = ('{"result":{"id":"t-23501"}}', "t-23501")
    one_of_two = '{"result":{"23501":{"status":"Pending"},"99999":{"status":"Canceled"}}}'


class TestManual(ByHandConformance):
    kind = "manual"


def test_an_account_at_nobody_s_takes_no_options() -> None:
    account = ProviderAccount("main", "", "", {"any_error_is_refusal": True})
    with pytest.raises(BadAccount, match="any_error_is_refusal"):
        create_provider("manual", account, Transport())


def test_every_registered_adapter_has_its_conformance_suite() -> None:
    tested = {suite.kind for suite in ProviderConformance.__subclasses__()}
    tested |= {suite.kind for suite in ByHandConformance.__subclasses__()}
    assert tested == set(provider_kinds())


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownKind, match=r"no provider of kind 'fax'; known are .*panel_v2"):
        create_provider("fax", ACCOUNT, Transport())


def test_an_account_does_not_show_its_key() -> None:
    assert KEY not in repr(ACCOUNT)
