"""Keeping a provider's key out of everything that is stored, logged or raised."""

import json
import re
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "***"
#: Shorter words than this occur in ordinary answers; masking them would change their meaning.
_SHORTEST_SECRET = 4


def masked(text: str, secret: str) -> str:
    """``text`` without ``secret``, in whatever case or usual escaping an upstream echoes it."""
    if not text or len(secret) < _SHORTEST_SECRET:
        return text
    spellings = _spellings(secret)
    lowered = text.lower()
    if not any(spelling.lower() in lowered for spelling in spellings):
        return text  # the usual case; an expression over a whole catalogue would take longer
    return re.sub("|".join(map(re.escape, spellings)), MASK, text, flags=re.IGNORECASE)


# Kept, because every answer is searched for the same few.
@lru_cache(maxsize=256)
def _spellings(secret: str) -> tuple[str, ...]:
    """How a secret may be written, the longest first."""
    escaped = json.dumps(secret)[1:-1]
    spellings = {
        secret,
        escaped,
        escaped.replace("/", "\\/"),
        quote(secret, safe=""),
        quote_plus(secret),
    }
    return tuple(sorted(spellings, key=len, reverse=True))
