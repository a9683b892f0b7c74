"""The answer to ``services``, put together from parts that are the same for every reseller."""

import json
from collections.abc import Iterable, Mapping

from schemas.catalogue import Service
from schemas.money import format_amount


class Listing:
    """Services in the order in which they are shown, with all but their prices written out."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.services = sorted(services, key=lambda s: (s.position, s.category, s.id))
        self._parts = {service.id: _parts_of(service) for service in self.services}

    def answer(self, rates: Iterable[tuple[int, int]], *, text_ids: bool) -> bytes:
        """The list of what is sold: (id, rate) of each service, in the order of ``services``."""
        quote = '"' if text_ids else ""
        rows = []
        for service_id, rate in rates:
            before, after = self._parts[service_id]
            head = f'{{"service":{quote}{service_id}{quote}'
            rows.append(f"{head}{before}{format_amount(rate)}{after}")
        return ("[" + ",".join(rows) + "]").encode("utf-8", "replace")


def _parts_of(service: Service) -> tuple[str, str]:
    """What stands before and after the rate; keys and types as the reference has them."""
    before = {"name": service.name, "type": service.type, "category": service.category}
    after = {
        "min": str(service.minimum),
        "max": str(service.maximum),
        "dripfeed": service.dripfeed,
        "refill": service.refill,
        "cancel": service.cancel,
    }
    return f',{_compact(before)},"rate":"', f'",{_compact(after)}}}'


def _compact(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))[1:-1]
