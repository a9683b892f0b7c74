"""Probes of panels with habits of their own: what is found, and that the advice then works."""

from collections.abc import Mapping

import pytest

from providers.account import BadAccount, ProviderAccount
from providers.errors import Unavailable
from providers.findings import Finding, Report, of_several, other_spelling, wrong_key
from providers.limits import Timeouts
from providers.panel_v2 import PanelV2
from providers.probing import UNKNOWN_IDS, ListeningTransport, Questions, probe
from providers.transport import Transport, metered
from schemas.upstream import RefusalGroup, Submission, UpstreamStatus, UpstreamWord
from tests.odd_panels import KEY, OddPanel, serving

READS = {"balance", "services", "status", "refill_status", "no_such_action", ""}


async def no_pause() -> None:
    return None


async def probed(
    panel: OddPanel,
    options: Mapping[str, object] | None = None,
    *,
    url: str = "",
    key: str = KEY,
    questions: Questions | None = None,
) -> Report:
    """The report on a panel; every finding was told as it was made, and only reads were sent."""
    told: list[Finding] = []
    account = ProviderAccount("odd", url or panel.url, key, options or {})
    async with ListeningTransport(Timeouts(), no_pause) as transport:
        report = await probe("panel_v2", account, transport, questions or Questions(), told.append)
    assert told == report.findings
    assert KEY not in repr(report)
    if questions is None or questions.test is None:
        assert {fields.get("action", "") for fields in panel.asked} <= READS
    return report


def result(report: Report, point: str) -> str:
    [found] = [finding.result for finding in report.findings if finding.point == point]
    return found


async def test_a_panel_like_the_reference_needs_nothing() -> None:
    async with serving(OddPanel()) as panel:
        report = await probed(panel, questions=Questions(orders=["11", "12", "99"]))
    assert report.works
    assert (report.options, report.unset, report.url, report.teach) == ({}, [], None, {})
    assert result(report, "call, as configured") == "works"
    assert result(report, "call, POST json, key in field key").startswith("refused: ")
    assert result(report, "balance") == "12.50 EUR"
    assert result(report, "slash").startswith("matters: ")
    assert "a page titled 'Welcome'" in result(report, "slash")
    assert result(report, "wrong key") == (
        "'Invalid API key', known as a refusal of the account group"
    )
    assert "'Incorrect action', known" in result(report, "unknown action")
    assert result(report, "services").startswith("2 rows, 0 refused, ")
    assert result(report, "types") == "Default (1)"
    assert result(report, "types unknown to us") == "fb_live (1); imported switched off"
    assert result(report, "flags") == "refill 0 of 2, cancel 0 of 2, dripfeed 0 of 2"
    assert result(report, f"unknown order {UNKNOWN_IDS[0]}") == (
        "'Incorrect order ID', in known words"
    )
    assert result(report, "order 11").startswith("'Completed', read as completed; charge 0.10")
    assert "status_words={En cours: …}" in result(report, "order 12")
    assert result(report, "order 99") == "'Incorrect order ID'"
    assert result(report, "several orders") == "in one request"
    assert result(report, "several refills") == "in one request"
    assert "median" in result(report, "latency")


DIALECTS: dict[str, tuple[OddPanel, dict[str, object]]] = {
    "by GET": (OddPanel(method="GET"), {"method": "GET", "encoding": "query", "key_in": "field"}),
    "in JSON": (
        OddPanel(encoding="json"),
        {"method": "POST", "encoding": "json", "key_in": "field"},
    ),
    "in the query of a POST": (
        OddPanel(encoding="query"),
        {"method": "POST", "encoding": "query", "key_in": "field"},
    ),
    "with the key in a header": (
        OddPanel(key="header:X-API-Key"),
        {"method": "POST", "encoding": "form", "key_in": "header"},
    ),
    "by GET with the key under another name and no lists": (
        OddPanel(method="GET", key="api_token", lists=False),
        {
            "method": "GET",
            "encoding": "query",
            "key_in": "field",
            "key_name": "api_token",
            "status_batch": 1,
            "refill_status_batch": 1,
        },
    ),
    "in JSON with the key in a header": (
        OddPanel(encoding="json", key="header:X-API-Key"),
        {"method": "POST", "encoding": "json", "key_in": "header"},
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
async def test_the_advice_is_what_the_panel_needs(name: str) -> None:
    panel, options = DIALECTS[name]
    async with serving(panel):
        report = await probed(panel)
        assert report.works
        assert report.options == options
        async with Transport() as transport:
            provider = PanelV2(ProviderAccount("odd", panel.url, KEY, report.options), transport)
            with metered() as meter:
                found = await provider.status(["11", "99"])
        assert found["11"].word is UpstreamWord.COMPLETED
        assert found["99"].error == "Incorrect order ID"
        assert meter.requests == (1 if panel.lists else 2)


async def test_a_slash_too_much_or_too_little_is_found_out() -> None:
    for path in ("/api/v2", "/api/v2/"):
        async with serving(OddPanel(path=path)) as panel:
            report = await probed(panel, url=other_spelling(panel.url))
            assert report.works
            assert report.url == panel.url


async def test_a_panel_without_lists_is_one_only_where_that_is_certain() -> None:
    plain = {"status": {"error": "Incorrect order ID"}}
    async with serving(OddPanel(answers=plain)) as panel:
        report = await probed(panel)
        assert result(report, "several orders").startswith("unclear: 'Incorrect order ID'; repeat")
        assert "status_batch" not in report.options
    async with serving(OddPanel(lists=False)) as panel:
        report = await probed(panel, questions=Questions(orders=["11", "12"]))
        assert result(report, "several orders") == (
            "one at a time; a list is not understood: 'Incorrect request'"
        )
        assert report.options == {"status_batch": 1, "refill_status_batch": 1}
        again = await probed(panel, report.options, questions=Questions(orders=["11", "12"]))
        assert again.options == {}


async def test_what_is_configured_already_is_not_advised_again_and_what_hinders_is_taken_away() -> (
    None
):
    options = {"method": "GET", "key_name": "token"}
    async with serving(OddPanel(method="GET", key="token")) as panel:
        report = await probed(panel, options)
        assert (report.options, report.unset) == ({}, [])
    async with serving(OddPanel()) as panel:
        report = await probed(panel, options)
        assert report.options == {"method": "POST", "encoding": "form", "key_in": "field"}
        assert report.unset == ["key_name"]


async def test_words_that_nobody_knows_are_shown_to_be_taught() -> None:
    async with serving(OddPanel(bad_key={"error": "Who are you?"})) as panel:
        report = await probed(panel)
    assert result(report, "wrong key") == "'Who are you?', in unknown words"
    assert report.teach == {"Who are you?": RefusalGroup.ACCOUNT}


async def test_one_text_for_everything_teaches_nothing() -> None:
    answers = {"no_such_action": {"error": "Oops"}}
    async with serving(OddPanel(bad_key={"error": "Oops"}, answers=answers)) as panel:
        report = await probed(panel)
    assert report.teach == {}


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/api/v2"])
async def test_a_panel_that_refuses_everything_or_is_away_is_reported_as_that(url: str) -> None:
    async with serving(OddPanel()) as panel:
        report = await probed(panel, url=url, key="another-key-0123456")
    assert not report.works
    assert (report.options, report.url) == ({}, None)
    words = "refused: Invalid API key" if not url else "not sent: "
    assert result(report, "call, as configured").startswith(words)
    assert len(report.findings) < 60


async def test_a_broken_catalogue_is_one_finding() -> None:
    async with serving(OddPanel(answers={"services": [{"id": 1, "title": "x"}]})) as panel:
        report = await probed(panel)
    assert "rows with the fields id, title" in result(report, "services")
    assert report.works


async def test_an_order_is_placed_only_when_it_is_asked_for_and_only_once() -> None:
    test = Submission("1", {"link": "https://example.com/p", "quantity": "5"})
    async with serving(OddPanel(answers={"add": {"order": 11}})) as panel:
        report = await probed(panel, questions=Questions(test=test))
    added = [fields for fields in panel.asked if fields.get("action") == "add"]
    assert [{k: f[k] for k in ("service", "link", "quantity")} for f in added] == [
        {"service": "1", "link": "https://example.com/p", "quantity": "5"}
    ]
    assert result(report, "test order") == "placed as 11"
    assert result(report, "order 11").startswith("'Completed'")


async def test_a_test_order_that_is_refused_or_in_doubt_says_so() -> None:
    test = Submission("1", {"link": "x", "quantity": "5"})
    for answer, words in (
        ({"error": "Bad link"}, "refused: 'Bad link', of the order group"),
        ({"error": "Hm"}, "ambiguous: a refusal in unknown words: Hm"),
    ):
        async with serving(OddPanel(answers={"add": answer})) as panel:
            report = await probed(panel, questions=Questions(test=test))
        assert result(report, "test order") == words


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("https://p.example/api/v2", "https://p.example/api/v2/"),
        ("https://p.example/api/v2/", "https://p.example/api/v2"),
        ("https://p.example", "https://p.example/"),
        ("https://p.example/api?x=1", "https://p.example/api/?x=1"),
    ],
)
def test_the_other_spelling_of_an_address_differs_by_its_slash(url: str, other: str) -> None:
    assert other_spelling(url) == other


@pytest.mark.parametrize(
    "outcome", [BadAccount("no such option"), Unavailable("away"), {"1": UpstreamStatus(None)}]
)
def test_silence_is_no_proof_that_a_panel_knows_no_lists(outcome: object) -> None:
    for real in (True, False):
        assert not of_several("several orders", ["1", "2"], outcome, [], real=real).one_by_one


def test_a_wrong_key_is_another_of_the_same_length() -> None:
    for key in ("abc", "000", "0", "é0"):
        assert wrong_key(key) != key
        assert len(wrong_key(key)) == len(key)
