"""A real browser: Debian's Chromium, headless, allowed to talk to the console alone."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, Request, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Scheme = Literal["light", "dark"]
DESKTOP, PHONE = (1280, 900), (390, 844)

#: Where there is no browser the tests are skipped, but not in CI, which installs one.
needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists() and "CI" not in os.environ,
    reason="there is no /usr/bin/chromium: install Debian's package chromium",
)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """A browser for some pages."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Watched:
    """A page, and everything about it that should not be."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.complaints.append(f"a request off the origin: {request.url}")

    def watch(self) -> None:
        """Write down errors, refused content, dialogs, and requests to elsewhere."""
        page = self.page
        page.on("request", self._asked)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on(
            "console",
            lambda line: (
                self.complaints.append(f"console: {line.text}")
                if line.type in ("error", "warning")
                else None
            ),
        )


@asynccontextmanager
async def open_page(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = DESKTOP,
    scheme: Scheme = "light",
    javascript: bool = True,
) -> AsyncIterator[Watched]:
    """A page of a fresh browser profile."""
    context = await browser.new_context(
        base_url=url,
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=javascript,
        device_scale_factor=1,
    )
    context.set_default_timeout(20_000)
    try:
        watched = Watched(await context.new_page(), url)
        watched.watch()
        yield watched
    finally:
        await context.close()


async def sign_in(page: Page, name: str, password: str, code: str = "") -> None:
    """Sign in by the forms, as a person does."""
    await page.goto("/ops/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    if code:
        await page.get_by_label("Code").fill(code)
        await page.get_by_role("button", name="Go on").click()
    await page.wait_for_url("**/ops")
