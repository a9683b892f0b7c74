"""Takes the pictures of the documents: ``make screenshots``. No test; run by its name alone."""

import os
from pathlib import Path

from gateway.store.connection import Pool
from schemas.operators import Role
from tests.architecture import ROOT
from tests.conftest import OpenGateway
from tests.sandbox_process import SandboxProcess
from tests.web.ops.browser import DESKTOP, PHONE, Scheme, open_browser, open_page, sign_in
from tests.web.ops.conftest import PASSWORD, sign_in_operator
from tests.web.ops.scene import fill, open_scene
from tests.world import World

_TO = Path(os.environ.get("SCREENSHOTS", ROOT / "docs" / "screenshots"))
_SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_PAGES = {"overview": "/ops", "operators": "/ops/operators", "log": "/ops/log", "account": "/ops/account"}
_LARGEST = 150 * 1024


async def test_pictures_are_taken(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    _TO.mkdir(parents=True, exist_ok=True)
    async with open_scene(world, pool, sandbox, open_gateway) as scene:
        await fill(scene, 150)
        await scene.spread_over(60)
        url = scene.gateway.console_url
        async with sign_in_operator(pool, url, "ada", Role.OWNER) as client, open_browser() as it:
            for scheme in _SCHEMES:
                for kind, size in (("", DESKTOP), ("-phone", PHONE)):
                    async with open_page(it, url, size=size, scheme=scheme) as watched:
                        await sign_in(watched.page, "ada", PASSWORD, client.recovery_codes.pop())
                        for name, path in _PAGES.items():
                            await watched.page.goto(path)
                            file = _TO / f"{name}{kind}-{scheme}.png"
                            await watched.page.screenshot(path=file, full_page=kind == "")
                            assert file.stat().st_size < _LARGEST, file.name
                        assert watched.complaints == []
