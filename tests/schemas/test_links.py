"""Links: what is refused, what only tracks and is removed, and what must stay as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.links import SITES, UNTOUCHED, clean_link, read_link
from schemas.panel_v2 import PanelError

CLEANED = [
    ("https://www.instagram.com/p/Cx1/?igsh=MWQ1ZGUx", "https://www.instagram.com/p/Cx1/"),
    (
        "https://www.instagram.com/p/Cx1/?igsh=a&img_index=2",
        "https://www.instagram.com/p/Cx1/?img_index=2",
    ),
    ("instagram.com/some.account?igshid=a", "instagram.com/some.account"),
    ("//instagram.com/a?utm_source=b", "//instagram.com/a"),
    ("HTTPS://Instagram.COM:443/p/x?ig%73h=1&a=%2F+b", "HTTPS://Instagram.COM:443/p/x?a=%2F+b"),
    ("https://www.threads.net/@a/post/1?xmt=AQG", "https://www.threads.net/@a/post/1"),
    (
        "https://www.tiktok.com/@a/video/7?_t=8&_r=1&cid=5",
        "https://www.tiktok.com/@a/video/7?cid=5",
    ),
    ("https://youtu.be/abc?si=T0k3n&t=42", "https://youtu.be/abc?t=42"),
    (
        "https://m.youtube.com/watch?app=desktop&v=abc&list=PL1&index=3&lc=Ug&feature=share&start=1",
        "https://m.youtube.com/watch?v=abc&list=PL1&index=3&lc=Ug&start=1",
    ),
    ("https://x.com/a/status/1?s=20&t=abc", "https://x.com/a/status/1"),
    ("https://twitter.com/a/status/1?ref_src=twsrc%5Etfw#m", "https://twitter.com/a/status/1#m"),
    (
        "https://www.facebook.com/permalink.php?story_fbid=1&id=2&__cft__%5B0%5D=A&__tn__=R&mibextid=b",
        "https://www.facebook.com/permalink.php?story_fbid=1&id=2",
    ),
    (
        "https://www.facebook.com/photo.php?fbid=1&set=a.2&type=3&rdid=x&ref=share&refsrc=y",
        "https://www.facebook.com/photo.php?fbid=1&set=a.2&type=3",
    ),
    (
        "https://www.linkedin.com/posts/a?trk=x&lipi=y&commentUrn=urn%3Ali",
        "https://www.linkedin.com/posts/a?commentUrn=urn%3Ali",
    ),
    ("https://open.spotify.com/track/1?si=ab&pt=cd", "https://open.spotify.com/track/1?pt=cd"),
    (
        "https://www.reddit.com/r/a/comments/1/?share_id=x&context=3&%24deep_link=true",
        "https://www.reddit.com/r/a/comments/1/?context=3",
    ),
    ("https://www.twitch.tv/a?tt_medium=x&tt_content=y", "https://www.twitch.tv/a"),
    ("https://t.me/channel?utm_source=x&boost", "https://t.me/channel?boost"),
    ("https://vk.com/a?w=wall1_2&fbclid=x", "https://vk.com/a?w=wall1_2"),
]
KEPT = [
    "https://shop.example/?utm_source=spring&gclid=1&fbclid=2&igsh=3",
    "https://example.com/p?sandbox=partial:30&utm_source=x",
    "https://notinstagram.com/p/x?igsh=1",
    "https://instagram.com.example/p/x?igsh=1",
    "https://evil.example/instagram.com?igsh=1",
    "https://vm.tiktok.com/ZMabc/?_t=1&_r=1",
    "https://www.instagram.com/p/Cx1/",
    "https://www.instagram.com/p/Cx1?",
    "https://www.instagram.com/p/Cx1/#?igsh=1",
    "https://www.youtube.com/watch?v=si&t=1s",
    "https://t.me/bot?start=abc&startapp=def&comment=1&thread=2&single",
    "https://www.instagram.com/p/x?a=1&&b=&=c&%zz&ä=ö",
    "some.account",
    "@some_account?",
    "#hashtag",
    "igsh=1",
    "",
]


@pytest.mark.parametrize(("link", "clean"), CLEANED)
def test_what_only_tracks_is_removed_and_the_rest_stays(link: str, clean: str) -> None:
    assert clean_link(link) == clean


@pytest.mark.parametrize("link", KEPT)
def test_what_says_something_of_the_target_stays(link: str) -> None:
    assert clean_link(link) == link


_HOSTS = st.sampled_from(
    [domain for site in SITES for domain in site.domains.split()]
    + ["www.instagram.com", "m.youtube.com", "shop.example", *sorted(UNTOUCHED)]
)
_NAMES = st.sampled_from(
    [
        "utm_source",
        "igsh",
        "si",
        "s",
        "t",
        "v",
        "id",
        "ref",
        "li__",
        "%69gsh",
        "__cft__[0]",
        "w",
        "",
    ]
) | st.text(max_size=8)
_PIECES = st.lists(st.tuples(_NAMES, st.text(max_size=8)).map("=".join), max_size=6).map("&".join)


@given(_HOSTS, st.text(max_size=12), _PIECES, st.sampled_from(["", "#", "#top", "#a?igsh=1"]))
def test_cleaning_twice_changes_nothing_and_keeps_order_and_bytes(
    host: str, path: str, query: str, fragment: str
) -> None:
    link = f"https://{host}/{path}?{query}{fragment}"
    once = clean_link(link)
    assert clean_link(once) == once
    rest = iter(link)
    assert all(sign in rest for sign in once)  # a part of it, in order


@given(st.text())
def test_any_text_is_cleaned_to_a_text_that_stays(text: str) -> None:
    once = clean_link(text)
    assert clean_link(once) == once


@given(_PIECES)
def test_links_to_other_hosts_are_never_touched(query: str) -> None:
    link = f"https://shop.example/?{query}"
    assert clean_link(link) == link


@pytest.mark.parametrize(
    "link",
    [
        *("", "  ", "a b", "a\tb", "x" * 2049, "https://a.example/\u200bx", "a\0b", "a\ud800"),
        *("javascript:alert(1)", "data:x", "file:///etc/passwd", "ftp://a.example/", "https:///"),
        *("https://user:pass@a.example/", "user:pass@a.example", '=HYPERLINK("http://x")'),
        *("https://a.example/,https://b.example/", "https://a.example/;HTTP://b.example/"),
    ],
)
def test_a_bad_link_is_refused(link: str) -> None:
    with pytest.raises(PanelError, match="Bad link"):
        read_link(link)


@pytest.mark.parametrize(
    "link",
    [
        *("some.user_name", "@user", "a.example:8080/path", "https://ığü.example/🎈?q=\"'<b>"),
        *("http://169.254.169.254/", "x" * 2048, "https://a.example/?to=https://b.example/"),
    ],
)
def test_a_sound_link_is_taken_as_it_is(link: str) -> None:
    assert read_link(f" {link}\t") == link
