"""Links as resellers send them: which are sound, and what of them only tracks people.

Share buttons add tokens that name the person who shared; they say nothing of the target. What is
removed is data, by site; on every other host nothing is, because there a client's own ``utm_*``
may be the point of the order.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from schemas.panel_v2 import BAD_LINK, PanelError

MAX_LINK = 2048

_BLANKS = " \t"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE | re.ASCII)
#: A dot tells ``host.example:8080/`` from ``javascript:1/``.
_HOST_PORT = re.compile(r"[^/?#:]*\.[^/?#:]*:[0-9]{1,5}(?:[/?#]|$)", re.ASCII)
_SECOND_LINK = re.compile(r"[,;|]https?://", re.IGNORECASE)
_BEFORE_HOST = re.compile(r"(?:https?:)?//", re.IGNORECASE | re.ASCII)


def read_link(text: str) -> str:
    """A link or user name, as given apart from outer blanks.

    Raises:
        PanelError: ``Bad link`` when it is empty or too long, holds blanks, control or invisible
            characters, names a scheme other than http(s), carries credentials, is several links,
            or is what a spreadsheet takes for a formula.
    """
    link = text.strip(_BLANKS)
    if not link or len(link) > MAX_LINK or not link.isprintable() or " " in link:
        raise PanelError(BAD_LINK)
    if link[0] == "=" or _SECOND_LINK.search(link):
        raise PanelError(BAD_LINK)
    scheme = _SCHEME.match(link)
    if scheme is None or _HOST_PORT.match(link):
        return link
    rest = link[scheme.end() :]
    authority = re.split(r"[/?#]", rest.removeprefix("//"), maxsplit=1)[0]
    sound = rest.startswith("//") and authority and "@" not in authority
    if scheme[1].lower() not in ("http", "https") or not sound:
        raise PanelError(BAD_LINK)
    return link


@dataclass(frozen=True, slots=True)
class Site:
    """One platform: its domains, and the names in a query that only track.

    In ``drop``, ``*`` stands for any characters and ``?`` for one. ``keep`` wins over it.
    """

    domains: str
    drop: str = ""
    keep: str = ""


_EVERYWHERE = (
    "utm_* fbclid gclid gclsrc dclid gbraid wbraid msclkid ttclid twclid yclid ysclid mc_cid mc_eid"
    " _ga _gl srsltid _branch_*"
)

SITES = (
    Site("instagram.com instagr.am", "igsh igshid ig_rid", "img_index"),
    Site("threads.net threads.com", "xmt igshid"),
    Site(
        "tiktok.com",
        "_t _r _d u_code preview_pb timestamp user_id share_app_name share_iid source refer"
        " referer_url referer_video_id embed_source is_from_webapp sender_device web_id",
        "cid share_comment_id",
    ),
    Site(
        "youtube.com youtu.be youtube-nocookie.com",
        "si is feature pp kw app embeds_* source_ve_path ab_channel",
        "v list index t start lc",
    ),
    Site("x.com twitter.com", "s t cn cxt src ref_src ref_url"),
    Site(
        "facebook.com fb.com fb.watch",
        "mibextid __cft__[* __tn__ __xts__* hc_* eid sfnsn wtsid paipv rdr _rdr idorvanity acontext"
        " ref* comment_tracking rdid",
        "story_fbid id fbid v comment_id reply_comment_id multi_permalinks set",
    ),
    Site(
        "linkedin.com",
        "trk trackingid refid li?? rcm trackingcode original_referer",
        "commenturn replyurn",
    ),
    Site("spotify.com", "si", "pt"),
    Site(
        "reddit.com redd.it",
        "share_id ref* correlation_id $deep_link $3p rdt entry_point",
        "context",
    ),
    Site("snapchat.com", "sc_referrer sc_ua"),
    Site("twitch.tv", "tt_medium tt_content"),
    Site("t.me telegram.me", keep="start startapp boost comment thread single"),
    Site("vk.com vk.ru", keep="w z reply"),
    Site("discord.com discord.gg"),
)
#: Short links of these hosts are tokens as a whole.
UNTOUCHED = frozenset({"vm.tiktok.com", "vt.tiktok.com"})


def _pattern(names: str) -> re.Pattern[str]:
    signs = {"*": ".*", "?": "."}
    choices = ("".join(signs.get(c, re.escape(c)) for c in name) for name in names.split())
    return re.compile("|".join(choices), re.DOTALL)


def _tracking() -> Mapping[str, tuple[re.Pattern[str], frozenset[str]]]:
    return {
        domain: (_pattern(f"{_EVERYWHERE} {site.drop}"), frozenset(site.keep.split()))
        for site in SITES
        for domain in site.domains.split()
    }


_TRACKING = _tracking()


def clean_link(link: str) -> str:
    """The link without what only tracks; whatever stays keeps its bytes and its order.

    What is no link, or leads to another host, stays as it is. Cleaning twice changes nothing.
    """
    address, hash_, fragment = link.partition("#")
    base, mark, query = address.partition("?")
    if not mark:
        return link
    known = _TRACKING.get(_site_of(base))
    if known is None:
        return link
    tracks, keep = known
    pieces = query.split("&")
    kept = [
        piece for piece in pieces if (name := _name(piece)) in keep or not tracks.fullmatch(name)
    ]
    if len(kept) == len(pieces):
        return link
    return base + ("?" + "&".join(kept) if kept else "") + hash_ + fragment


def _name(piece: str) -> str:
    return unquote_plus(piece.partition("=")[0]).casefold()


def _site_of(base: str) -> str:
    """The known domain that an address without its query leads to, or nothing."""
    start = _BEFORE_HOST.match(base)
    authority = base[start.end() if start else 0 :].partition("/")[0]
    host = authority.rpartition("@")[2].partition(":")[0].rstrip(".").casefold()
    if host in UNTOUCHED:
        return ""
    while host and host not in _TRACKING:
        host = host.partition(".")[2]
    return host
