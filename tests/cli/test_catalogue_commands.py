"""Prices, changes, imports and what is ours of a service, by command."""

from collections.abc import AsyncIterator

import pytest

from gateway.store.connection import Pool
from tests.cli.command import Command
from tests.providers.wire import Upstream, says
from tests.world import World

_WIRE = (
    '{{"service":{n},"name":"{name}","type":"{type}","rate":"{rate}","min":10,"max":1000,'
    '"category":"{category}"}}'
)


def _row(n: int, rate: str = "1.00", name: str = "", **values: str) -> str:
    fields = {"type": "Default", "category": "Instagram"} | values
    return _WIRE.format(n=n, rate=rate, name=name or f"Followers {n}", **fields)


def _answer(*rows: str) -> str:
    return "[" + ",".join(rows) + "]"


@pytest.fixture
async def panel(world: World) -> AsyncIterator[Upstream]:
    """A panel with three services, connected as ``box``."""
    rows = _row(1), _row(2, name="Likes", category="Other"), _row(3, type="fb_viplike")
    async with Upstream(says(_answer(*rows))) as upstream:
        await world.provider(upstream.url, name="box")
        yield upstream


async def test_rules_are_made_listed_previewed_and_removed(
    command: Command, world: World, panel: Upstream
) -> None:
    await world.reseller("acme")
    await command.json("service", "import", "box")
    [general] = await command.json("price", "list")
    assert (general["markup"], general["reseller"], general["round"]) == ("25%", None, "0.00001")
    previewed = await command.json("price", "preview", "--markup", "30%", "--category", "Other")
    assert [(row["service"], row["now"], row["then"]) for row in previewed] == [(2, "1.25", "1.30")]
    assert len(await command.json("price", "list")) == 1
    made = await command.json("price", "set", "--markup", "30", "--category", "Other")
    rounded = ["--reseller", "acme", "--service", "1", "--round", "0.5"]
    await command.json("price", "set", "--markup", "10.5%", *rounded)
    listed = await command.json("price", "list")
    assert [(r["markup"], r["reseller"], r["service"], r["category"]) for r in listed] == [
        ("10.5%", "acme", 1, None),
        ("30%", None, None, "Other"),
        ("25%", None, None, None),
    ]
    rates = [s["rate"] for s in await command.json("service", "list")]
    assert rates == ["1.25", "1.30", "1.25"]
    for_acme = await command.json("price", "preview", "--markup", "50%", "--reseller", "acme")
    assert [(r["service"], r["then"]) for r in for_acme] == [(2, "1.50")]
    assert (await command.json("price", "remove", made["id"]))["category"] == "Other"
    again = await command.json("price", "set", "--markup", "40%")
    assert again["id"] == general["id"]
    assert [s["rate"] for s in await command.json("service", "list")] == ["1.40", "1.40", "1.40"]


async def test_mistakes_with_prices_are_one_line(
    command: Command, world: World, panel: Upstream
) -> None:
    [general] = await command.json("price", "list")
    for arguments, words in (
        (["set", "--markup", "much"], "write a percentage"),
        (["set", "--markup", "-5"], "write a percentage"),
        (["set", "--markup", "5", "--round", "0.000001"], "at most 5 decimals"),
        (["set", "--markup", "5", "--reseller", "nobody"], "no reseller nobody"),
        (["set", "--markup", "5", "--provider", "nobody"], "no provider nobody"),
        (["set", "--markup", "5", "--service", "77"], "no service 77"),
        (["remove", "77"], "no rule 77"),
        (["remove", general["id"]], "the rule for everything stays"),
    ):
        done = await command.run("price", *arguments)
        assert (done.code, words in done.error) == (2, True), done
    assert await command.json("price", "list") == [general]


async def test_an_import_is_narrowed_tried_and_says_what_is_off(
    command: Command, panel: Upstream
) -> None:
    tried = await command.json("service", "import", "box", "--search", "likes", "--dry-run")
    assert [(row["upstream_service"], row["cost"]) for row in tried] == [("2", "1.00")]
    assert await command.json("service", "list") == []
    some = await command.json("service", "import", "box", "--category", "other")
    assert [row["routes"][0]["upstream_service"] for row in some] == ["2"]
    every = await command.run("service", "import", "box")
    assert "imported 2, there 1, refused 0" in every.out
    assert "3: switched off, the type 'fb_viplike' is not known" in every.out
    again = await command.run("service", "import", "box")
    assert "imported 0, there 3, refused 0" in again.out
    for arguments, found in (
        (["--search", "LIKES"], [1]),
        (["--category", "instagram"], [2, 3]),
        (["--provider", "box"], [1, 2, 3]),
        (["--provider", "other"], []),
    ):
        listed = await command.json("service", "list", *arguments)
        assert [row["service"] for row in listed] == found


async def test_changes_are_seen_approved_and_dismissed(command: Command, panel: Upstream) -> None:
    await command.json("service", "import", "box", "--ids", "1,2")
    panel.behaviour = says(_answer(_row(1, "4.00"), _row(2, "1.10", "Views", category="Other")))
    tried = await command.json("provider", "sync", "box", "--dry-run")
    assert await command.json("change", "list") == []
    done = await command.json("provider", "sync", "box")
    assert done == tried
    held = await command.json("change", "list", "--state", "held")
    assert [(c["kind"], c["before"], c["after"]) for c in held] == [
        ("renamed", "Likes", "Views"),
        ("price", "1.00", "4.00"),
    ]
    name, price = (change["id"] for change in held)
    shown = await command.json("service", "show", "1")
    assert "waits for review" in shown["not_for_sale"]
    assert (shown["rate"], shown["margin"]) == ("1.25", "-2.75")
    [approved] = await command.json("change", "approve", price)
    assert approved["state"] == "approved"
    assert (await command.json("service", "show", "1"))["rate"] == "5.00"
    await command.json("change", "dismiss", name)
    assert (await command.json("service", "show", "2"))["name"] == "Likes"
    assert (await command.json("change", "show", name))["decided_at"]
    refused = await command.run("change", "approve", name)
    assert f"change {name} does not wait" in refused.complaint
    assert await command.json("provider", "sync", "box") == []


async def test_a_broken_catalogue_is_one_line(command: Command, panel: Upstream) -> None:
    await command.json("service", "import", "box")
    panel.behaviour = says(_answer(_row(1)))
    done = await command.run("provider", "sync", "box")
    assert "a catalogue of 1 services that had 3 before: nothing was changed" in done.complaint
    assert len(await command.json("provider", "sync", "box", "--accept-smaller")) == 2


async def test_what_is_ours_of_a_service_is_set_and_shown(
    command: Command, world: World, pool: Pool
) -> None:
    provider = await world.provider("http://127.0.0.1:9/api/v2")
    number = await world.service(provider, rate="0.90")
    await world.reseller("acme")
    await world.reseller("rival")
    ours = ["--description", "Two\nlines \u202e", "--position", "-3", "--step", "100"]
    ours += ["--keep-links", "on", "--visible-to", "rival, acme"]
    changed = await command.json("service", "set", number, *ours)
    assert (changed["description"], changed["position"]) == ("Two lines", -3)
    assert (changed["step"], changed["keep_links"]) == (100, True)
    assert changed["visible_to"] == ["acme", "rival"]
    assert (changed["price"], changed["margin"]) == ("fixed", "0.45")
    cheap = await command.json("service", "set", number, "--rate", "0.40")
    assert cheap["not_for_sale"] == "its cost has reached its price"
    marked = await command.json("service", "set", number, "--below-cost")
    assert (marked["below_cost"], marked["not_for_sale"]) == (True, None)
    ruled = await command.json("service", "set", number, "--rate", "rule", "--not-below-cost")
    assert (ruled["rate"], ruled["price"]) == ("0.5625", "25% on the cost (rule 1)")
    everybody = await command.json("service", "set", number, "--visible-to", "all")
    assert everybody["visible_to"] == ["all"]
    wrong = await command.run("service", "set", number, "--visible-to", "nobody", "--step", "5")
    assert "no reseller nobody" in wrong.complaint
    assert (await command.json("service", "show", number))["step"] == 100


async def test_a_route_at_an_absurd_price_is_refused(
    command: Command, world: World, panel: Upstream
) -> None:
    await command.json("service", "import", "box", "--ids", "1")
    rows = _row(1, "100000"), _row(2, "0"), _row(4, "1.50")
    async with Upstream(says(_answer(*rows))) as other:
        await world.provider(other.url, name="dear")
        for upstream_service, words in (("1", "is absurd: 100000.00"), ("2", "no usable service")):
            done = await command.run("route", "add", 1, "dear", upstream_service)
            assert words in done.complaint
        made = await command.json("route", "add", 1, "dear", 4)
    assert made["cost"] == "1.50"


async def test_a_rule_names_a_category_as_services_spell_it(
    command: Command, world: World, panel: Upstream
) -> None:
    await command.json("service", "import", "box")
    made = await command.json("price", "set", "--markup", "50", "--category", "instagram")
    assert made["category"] == "Instagram"
    assert (await command.json("service", "show", 1))["rate"] == "1.50"
    for verb in ("set", "preview"):
        done = await command.run("price", verb, "--markup", "5", "--category", "Instagrm")
        assert "no service is in it; there are: Instagram, Other" in done.complaint


async def test_an_import_of_a_category_that_there_is_not_names_the_nearest(
    command: Command, world: World, panel: Upstream
) -> None:
    rules = await command.json("price", "list")
    for more in ([], ["--dry-run"], ["--markup", "50"]):
        done = await command.run("service", "import", "box", "--category", "instagrm", *more)
        assert "no category of the provider is 'instagrm'; the nearest: 'Instagram'" in (
            done.complaint
        )
    assert await command.json("service", "list") == []
    assert await command.json("price", "list") == rules


async def test_nested_values_are_printed_with_their_names(
    command: Command, world: World, panel: Upstream
) -> None:
    await command.json("service", "import", "box", "--ids", "1")
    for line in (["list"], ["show", 1], ["set", 1, "--step", 5]):
        assert "box 1 at 1.00" in (await command.run("service", *line)).out
    shown = await command.run("provider", "set", "box", "--set", "in_flight=7")
    assert "in_flight=7" in shown.out
