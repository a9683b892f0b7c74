"""docs/metrics.md lists exactly the families that there are."""

from tests.metrics.families import DOCUMENT, families, with_table


def test_the_document_lists_every_family() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == with_table(text), "write it anew: python -m tests.metrics.families"


def test_families_are_named_by_the_rule() -> None:
    for family in families():
        assert family.help, family.name
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name


def test_no_label_can_name_an_order_a_link_or_a_reseller() -> None:
    bounded = {
        *(
            "action",
            "calls",
            "cause",
            "currency",
            "kind",
            "loop",
            "outcome",
            "part",
            "provider",
            "python",
        ),
        *("reason", "state", "user", "verdict", "version", "work", "worker"),
    }
    assert {label for family in families() for label in family.labels} <= bounded
