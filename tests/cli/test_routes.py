"""``smm-gateway route`` and pauses: who delivers a service, and who is not asked for now."""

from gateway.catalogue.importing import Choice, import_services
from gateway.catalogue.upstreams import adapt
from gateway.store import services
from gateway.store.connection import Pool
from providers.transport import Transport
from schemas.catalogue import Service
from schemas.config import SettingsModel
from tests.cli.command import Command
from tests.sandbox_process import SandboxProcess
from tests.world import BY_TEST, KEYS, World


async def _one_service(world: World, panel: SandboxProcess) -> Service:
    """Service 101 of the panel, sold through an account named main; another account is spare."""
    record = await world.provider(panel.url, panel.key, "main")
    await world.provider(panel.url, panel.key, "spare")
    async with Transport() as transport:
        catalogue = await adapt(record, transport, KEYS)[0].services()
    await import_services(
        world.pool,
        record,
        catalogue,
        SettingsModel(),
        BY_TEST,
        choice=Choice(ids=frozenset({"101"})),
    )
    async with world.pool.acquire() as conn:
        [service] = await services.list_services(conn)
    return service


async def test_routes_are_added_listed_changed_and_removed(
    command: Command, world: World, sandbox: SandboxProcess
) -> None:
    service = await _one_service(world, sandbox)
    made = await command.json("route", "add", service.id, "spare", "101", "--priority", 50)
    assert made == {
        "route": made["route"],
        "service": service.id,
        "provider": "spare",
        "upstream_service": "101",
        "cost": "0.84",
        "priority": 50,
        "weight": 1,
        "enabled": True,
        "disabled_reason": None,
    }
    listed = await command.json("route", "list", service.id)
    assert [(route["provider"], route["priority"]) for route in listed] == [
        ("spare", 50),
        ("main", 100),
    ]
    changed = await command.json(
        *("route", "set", made["route"], "--weight", 7, "--priority", 200, "--disable")
    )
    assert (changed["weight"], changed["priority"], changed["enabled"]) == (7, 200, False)
    assert changed["disabled_reason"] == "switched off by an operator"
    back = await command.json("route", "set", made["route"], "--enable")
    assert (back["enabled"], back["disabled_reason"], back["weight"]) == (True, None, 7)
    assert await command.json("route", "remove", made["route"]) == {"removed": made["route"]}
    [left] = await command.json("route", "list", service.id)
    assert left["provider"] == "main"


async def test_a_route_that_cannot_be_is_refused_with_the_reason(
    command: Command, world: World, sandbox: SandboxProcess, pool: Pool
) -> None:
    service = await _one_service(world, sandbox)
    only = service.routes[0].id
    lines: dict[str, list[object]] = {
        "has this route already": ["route", "add", service.id, "main", "101"],
        "no usable service 9999999": ["route", "add", service.id, "spare", "9999999"],
        "must deliver the same": ["route", "add", service.id, "spare", "141"],
        "there is no provider ghost": ["route", "add", service.id, "ghost", "101"],
        "there is no service 77": ["route", "add", 77, "spare", "101"],
        "spare has one": ["route", "add", service.id, "spare", "101", "--cost", "1"],
        "there is no route 77": ["route", "set", 77, "--disable"],
        "is the only one": ["route", "remove", only],
        "there is no provider nobody": ["provider", "pause", "nobody", "--reason", "x"],
        "say why": ["provider", "pause", "main", "--reason", " "],
    }
    for words, line in lines.items():
        assert words in (await command.run(*line)).complaint, line
    async with pool.acquire() as conn:
        assert await services.list_services(conn) == [service]


async def test_a_provider_is_paused_with_a_reason_and_resumed(
    command: Command, world: World
) -> None:
    await world.provider("http://127.0.0.1:9/api/v2", name="main")
    paused = await command.json("provider", "pause", "main", "--reason", "they are moving house")
    assert paused["paused"] == "they are moving house"
    assert await command.json("provider", "list") == [paused]
    assert (await command.json("provider", "resume", "main"))["paused"] is None
