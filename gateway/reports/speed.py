"""How fast services are: the time to start and to finish of recent orders, and who has slowed."""

from dataclasses import dataclass

from gateway.store import speeds as store
from gateway.store.connection import Connection
from schemas.speeds import ServiceSpeed

#: Fewer orders say nothing about a service.
_FEWEST = 5
#: So much slower than usual is worth a look, and no less than so many seconds.
_SLOWER, _LEAST_SECONDS = 2, 600


@dataclass(frozen=True, slots=True)
class ServicePace:
    """A service lately, and as usual; None where too few orders say anything."""

    service_id: int
    name: str
    lately: ServiceSpeed | None
    usually: ServiceSpeed | None

    @property
    def slower(self) -> bool:
        """Whether it lately takes much longer than usual to finish, or to start."""
        if self.lately is None or self.usually is None:
            return False
        pairs = (
            (self.lately.finish_p50, self.usually.finish_p50),
            (self.lately.start_p50, self.usually.start_p50),
        )
        return any(
            now is not None
            and usual is not None
            and now > usual * _SLOWER
            and now - usual > _LEAST_SECONDS
            for now, usual in pairs
        )


async def service_paces(
    conn: Connection, *, lately_hours: int, usual_days: int
) -> list[ServicePace]:
    """All services with recent orders, those that have slowed first."""
    hours = usual_days * 24
    usual = await store.list_service_speeds(conn, from_hours=hours, to_hours=lately_hours)
    recent = await store.list_service_speeds(conn, from_hours=lately_hours, to_hours=0)
    names = {speed.service_id: speed.name for speed in (*usual, *recent)}
    before = {speed.service_id: speed for speed in usual if speed.orders >= _FEWEST}
    now = {speed.service_id: speed for speed in recent if speed.orders >= _FEWEST}
    paces = [ServicePace(id_, names[id_], now.get(id_), before.get(id_)) for id_ in sorted(names)]
    return sorted(paces, key=lambda pace: not pace.slower)
