"""The console's cookies: a session's, a visitor's before there is one, and a known browser's.

``__Host-`` makes browsers insist on https, the whole host and no other: nobody on a neighbouring
host can plant one. For development on plain http the prefix and ``Secure`` go together.
"""

from aiohttp import web

from gateway.operators.sessions import new_secret

_VISITOR_SECONDS = 3_600
_KNOWN_SECONDS = 365 * 86_400
_LONGEST = 100


class Cookies:
    """Reads and gives cookies."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        prefix = "__Host-" if secure else ""
        self.names = tuple(f"{prefix}{name}" for name in ("sid", "pre", "known"))
        self._session, self._visitor, self._known = self.names

    def session(self, request: web.Request) -> str:
        """The session's value; empty where there is none."""
        return _short(request.cookies.get(self._session))

    def give_session(self, response: web.StreamResponse, value: str) -> None:
        """Give a new session's value; it ends with the browser."""
        self._give(response, self._session, value, None)

    def end_session(self, response: web.StreamResponse) -> None:
        """Take the session's cookie back."""
        response.del_cookie(
            self._session, path="/", secure=self._secure, httponly=True, samesite="Lax"
        )

    def visitor(self, request: web.Request) -> str:
        """What forms before signing in are bound to; empty where there is nothing yet."""
        return _short(request.cookies.get(self._visitor))

    def new_visitor(self) -> str:
        """A fresh value for a visitor."""
        return new_secret()

    def give_visitor(self, response: web.StreamResponse, value: str) -> None:
        """Give a visitor's value, for an hour."""
        self._give(response, self._visitor, value, _VISITOR_SECONDS)

    def known(self, request: web.Request) -> str:
        """By what a browser proves that somebody has signed in there before."""
        return _short(request.cookies.get(self._known))

    def give_known(self, response: web.StreamResponse, mark: str) -> None:
        """Let a browser prove later that somebody has signed in there."""
        self._give(response, self._known, mark, _KNOWN_SECONDS)

    def _give(
        self, response: web.StreamResponse, name: str, value: str, max_age: int | None
    ) -> None:
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="Lax",
        )


def _short(value: str | None) -> str:
    return value if value is not None and len(value) <= _LONGEST else ""
