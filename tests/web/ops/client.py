"""A client of the console for tests: keeps cookies, finds the tokens of forms, signs in."""

import html
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import aiohttp
import pyotp
from multidict import CIMultiDict
from yarl import URL

_TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')
_REQUEST = re.compile(r'name="request" value="([^"]+)"')
_SEED = re.compile(r"<code>([A-Z2-7 ]{30,})</code>")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the console; no redirect was followed."""

    status: int
    text: str
    headers: CIMultiDict[str]

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers.get("Location", "")

    @property
    def words(self) -> str:
        """The text without its markup."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    @property
    def token(self) -> str:
        """The token of the page's forms."""
        found = _TOKEN.search(self.text)
        assert found, f"no form in: {self.words[:300]}"
        return found[1]

    @property
    def request(self) -> str:
        """The request id of the page's first form that has one."""
        found = _REQUEST.search(self.text)
        assert found, f"no form in: {self.words[:300]}"
        return found[1]

    def given_cookie(self, name: str) -> str:
        """The whole Set-Cookie header of a cookie; empty where none was given."""
        given = self.headers.getall("Set-Cookie", [])
        return next((line for line in given if line.startswith(f"{name}=")), "")


class OperatorClient:
    """One browser, as far as cookies and forms go."""

    def __init__(self, url: str, **headers: str) -> None:
        self.url = url
        self.headers = headers
        self.seed = ""
        self.recovery_codes: list[str] = []

    async def __aenter__(self) -> Self:
        # Browsers take loopback for safe, and keep cookies that ask for https.
        jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(self.url))
        self._session = aiohttp.ClientSession(cookie_jar=jar)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def send(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """One request, exactly as given."""
        async with self._session.request(
            method,
            URL(self.url + path, encoded=True),
            data=body,
            headers=self.headers | headers,
            allow_redirects=False,
        ) as answer:
            return Answer(answer.status, await answer.text(), CIMultiDict(answer.headers))

    async def get(self, path: str, **headers: str) -> Answer:
        """A page."""
        return await self.send("GET", path, None, **headers)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """A form, exactly as given."""
        form = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        return await self.send("POST", path, urlencode(fields).encode(), **form)

    async def submit(self, page: str, path: str, **fields: str) -> Answer:
        """Open a page and send a form from there."""
        opened = await self.get(page)
        return await self.post(path, {"token": opened.token} | fields)

    def cookie(self, name: str) -> str:
        """The value of a cookie; empty where there is none."""
        found = self._session.cookie_jar.filter_cookies(URL(self.url)).get(name)
        return found.value if found else ""

    def forget_cookies(self) -> None:
        """Become a browser that was never here."""
        self._session.cookie_jar.clear()

    async def accept(self, link: str, password: str) -> Answer:
        """Use a welcome link."""
        path = URL(link).path
        return await self.submit(path, path, password=password, again=password)

    async def sign_in(self, name: str, password: str) -> Answer:
        """Give name and password."""
        return await self.submit("/ops/sign-in", "/ops/sign-in", name=name, password=password)

    async def enrol(self) -> Answer:
        """Set up a second factor; its seed is kept."""
        page = await self.get("/ops/enrol")
        found = _SEED.search(page.text)
        assert found
        self.seed = found[1].replace(" ", "")
        code = pyotp.TOTP(self.seed).now()
        answer = await self.post("/ops/enrol", {"token": page.token, "code": code})
        self.recovery_codes = re.findall(r"<code>([0-9a-z-]{19})</code>", answer.text)
        return answer
