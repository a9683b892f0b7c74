"""What the sandbox sells: an invented catalogue with every service type of the panel API."""

from dataclasses import dataclass
from typing import Any

from providers.sandbox.forms import FORMS
from schemas.money import Micros, charge_of, format_amount, parse_rate


@dataclass(frozen=True, slots=True)
class Service:
    """One row of the catalogue. ``rate`` pays 1,000 pieces, or one package."""

    number: int
    name: str
    kind: str
    rate: Micros
    minimum: int
    maximum: int
    dripfeed: bool
    refill: bool
    cancel: bool
    category: str

    def charge(self, quantity: int) -> Micros:
        """What ``quantity`` pieces cost; for a package what that many packages cost."""
        if FORMS[self.kind].counted is None:
            return self.rate * quantity
        return charge_of(self.rate, quantity)

    def row(self) -> dict[str, Any]:
        """The service as the ``services`` action shows it."""
        return {
            "service": self.number,
            "name": self.name,
            "type": self.kind,
            "rate": format_amount(self.rate),
            "min": str(self.minimum),
            "max": str(self.maximum),
            "dripfeed": self.dripfeed,
            "refill": self.refill,
            "cancel": self.cancel,
            "category": self.category,
        }


#: number | name | type | rate | min | max | flags: d drip-feed, r refill, c cancel
_TABLE = """
# Instagram Followers
101 | Instagram Followers, calm pace, 30 days kept | Default | 0.84 | 10 | 100000 | drc
102 | Instagram Followers, named accounts | Default | 1.95 | 50 | 50000 | drc
103 | Instagram Followers, brisk, nothing promised | Default | 0.315 | 100 | 250000 | c
104 | Instagram Followers, Turkish speaking | Default | 4.2 | 20 | 15000 | drc
105 | Instagram Followers, pack of 1,000 | Package | 1.1 | 1 | 1 | r
# Instagram Likes
121 | Instagram Likes, within the hour | Default | 0.12 | 10 | 50000 | dc
122 | Instagram Likes, slow and even | Default | 0.0985 | 10 | 300000 | dr
123 | Instagram Likes, next posts of an account | Subscriptions | 0.27 | 20 | 10000 | c
124 | Instagram Comment Likes | Comment Likes | 0.65 | 10 | 5000 | c
# Instagram Views
131 | Instagram Reel Views | Default | 0.01 | 100 | 2147483647 | dc
132 | Instagram Story Views, all stories | Default | 0.045 | 50 | 30000 |
133 | Instagram Reach and Profile Visits | Default | 0.0623 | 100 | 1000000 | d
# Instagram Comments and Mentions
141 | Instagram Comments in your words | Custom Comments | 9.5 | 1 | 2000 | c
142 | Instagram Comments in your words, pack of 10 | Custom Comments Package | 0.48 | 1 | 1 |
143 | Instagram Replies to a comment | Comment Replies | 12.25 | 1 | 500 | c
144 | Instagram Mentions, your list | Mentions Custom List | 3.1 | 5 | 20000 |
145 | Instagram Mentions, by usernames | Mentions | 2.6 | 100 | 20000 | c
146 | Instagram Mentions, usernames and hashtags | Mentions with Hashtags | 2.9 | 100 | 20000 |
147 | Instagram Mentions, users of a hashtag | Mentions Hashtag | 2.75 | 100 | 50000 |
148 | Instagram Mentions, followers of an account | Mentions User Followers | 2.4 | 100 | 50000 |
149 | Instagram Mentions, likers of a post | Mentions Media Likers | 2.5 | 100 | 50000 |
# TikTok
201 | TikTok Views | Default | 0.013 | 100 | 10000000 | d
202 | TikTok Likes, steady | Default | 0.74 | 10 | 100000 | drc
203 | TikTok Followers, 60 days kept | Default | 2.38 | 10 | 200000 | drc
204 | TikTok Live Viewers, 30 minutes | Default | 6.9 | 50 | 5000 |
205 | TikTok Comments in your words | Custom Comments | 14 | 5 | 1000 | c
# YouTube
301 | YouTube Views, search traffic | Default | 1.47 | 500 | 1000000 | dr
302 | YouTube Watch Time, hours on long videos | Default | 29.95 | 100 | 4000 | r
303 | YouTube Subscribers, one day start | Default | 18.6 | 20 | 10000 | rc
304 | YouTube Likes | Default | 0.92 | 20 | 50000 | drc
305 | YouTube Comments in your words | Custom Comments | 21.4 | 2 | 500 | c
# Telegram
401 | Telegram Channel Members | Default | 0.56 | 50 | 100000 | rc
402 | Telegram Post Views, last post | Default | 0.0114 | 20 | 500000 | d
403 | Telegram Poll Votes | Poll | 0.88 | 10 | 30000 | c
404 | Telegram Members from groups | Invites from Groups | 7.3 | 100 | 10000 |
405 | Telegram Reactions, mixed | Default | 0.19 | 10 | 20000 | dc
# X and Facebook
501 | X Followers | Default | 3.65 | 50 | 20000 | rc
502 | X Post Impressions | Default | 0.0237 | 100 | 1000000 | d
503 | Facebook Page Likes and Followers | Default | 1.28 | 100 | 100000 | drc
504 | Facebook Poll Votes | Poll | 2.05 | 25 | 10000 |
# Websites
601 | Website Visits, choose country and source | Web Traffic | 0.36 | 500 | 1000000 | d
602 | Website Mentions for search engines | SEO | 11.75 | 10 | 5000 |
603 | Website Signals, pack for one page | Package | 24.5 | 1 | 1 | c
"""


def _services() -> dict[int, Service]:
    found: dict[int, Service] = {}
    category = ""
    for line in _TABLE.strip().splitlines():
        if line.startswith("#"):
            category = line.removeprefix("# ")
            continue
        number, name, kind, rate, low, high, flags = (part.strip() for part in line.split("|"))
        found[int(number)] = Service(
            number=int(number),
            name=name,
            kind=kind,
            rate=parse_rate(rate),
            minimum=int(low),
            maximum=int(high),
            dripfeed="d" in flags,
            refill="r" in flags,
            cancel="c" in flags,
            category=category,
        )
    return found


CATALOGUE = _services()
