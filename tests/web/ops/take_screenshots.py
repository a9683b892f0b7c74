"""Takes the pictures of the documents: ``make screenshots``. No test; run by its name alone."""

import os
from pathlib import Path

from gateway.store.connection import Pool
from schemas.operators import Role
from tests.architecture import ROOT
from tests.conftest import OpenGateway
from tests.sandbox_process import SandboxProcess
from tests.web.ops.browser import PHONE, Scheme, open_browser, open_page, sign_in
from tests.web.ops.conftest import PASSWORD, sign_in_operator
from tests.web.ops.scene import fill, open_scene
from tests.world import World

_TO = Path(os.environ.get("SCREENSHOTS", ROOT / "docs" / "screenshots"))
_SCHEMES: tuple[Scheme, ...] = ("light", "dark")
_PAGES = {
    "overview": "/ops",
    "orders": "/ops/orders",
    "order": "/ops/orders/{review}",
    "review": "/ops/review",
    "operators": "/ops/operators",
    "ordering": "/ops/ordering",
}
_ON_A_PHONE = ("overview", "orders", "order", "review")
_SIZE = (1180, 820)
_LARGEST = 150_000


async def test_pictures_are_taken(
    world: World, pool: Pool, sandbox: SandboxProcess, open_gateway: OpenGateway
) -> None:
    _TO.mkdir(parents=True, exist_ok=True)
    async with open_scene(world, pool, sandbox, open_gateway) as scene:
        await fill(scene, 150)
        await scene.spread_over(60)
        url = scene.gateway.console_url
        review = await pool.fetchval("select min(id) from orders where state = 'review'")
        async with sign_in_operator(pool, url, "ada", Role.OWNER) as client, open_browser() as it:
            for scheme in _SCHEMES:
                for kind, size in (("", _SIZE), ("-phone", PHONE)):
                    async with open_page(it, url, size=size, scheme=scheme) as watched:
                        code = client.recovery_codes.pop()
                        await sign_in(watched.page, "ada", PASSWORD, code)
                        for name in _ON_A_PHONE if kind else _PAGES:
                            await watched.page.goto(_PAGES[name].format(review=review))
                            file = _TO / f"{name}{kind}-{scheme}.png"
                            await watched.page.screenshot(path=file)
                            assert file.stat().st_size < _LARGEST, file.name
                        assert watched.complaints == []
