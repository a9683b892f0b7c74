"""How fast a service is delivered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceSpeed:
    """Times in seconds from an order's acceptance on, over some of its recent ``orders``.

    ``start`` is until the upstream works on it, ``finish`` until it was delivered, in whole or in
    part. None is a time that no order has reached. ``partial`` counts those delivered in part.
    """

    service_id: int
    name: str
    orders: int
    partial: int
    start_p50: int | None
    start_p90: int | None
    finish_p50: int | None
    finish_p90: int | None
