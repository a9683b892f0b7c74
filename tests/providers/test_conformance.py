"""The conformance suite, for each adapter that is registered."""

import pytest

from providers.account import BadAccount, ProviderAccount
from providers.registry import UnknownKind, create_provider, provider_kinds
from providers.transport import Transport
from tests.providers.conformance import ByHandConformance, ProviderConformance
from tests.providers.wire import KEY

ACCOUNT = ProviderAccount("main", "http://127.0.0.1:1/api/v2", KEY)


class TestPanelV2(ProviderConformance):
    kind = "panel_v2"


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


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"any_eror_is_refusal": True}, "any_eror_is_refusal"),
        ({"any_error_is_refusal": "perhaps"}, "any_error_is_refusal"),
        ({"known_refusals": {"Nope": "nobody"}}, "known_refusals"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(
    options: dict[str, object], wrong: str
) -> None:
    account = ProviderAccount("main", ACCOUNT.url, KEY, options)
    with pytest.raises(BadAccount, match=rf"provider main: {wrong}") as caught:
        create_provider("panel_v2", account, Transport())
    assert KEY not in str(caught.value)


def test_an_account_does_not_show_its_key() -> None:
    assert KEY not in repr(ACCOUNT)
