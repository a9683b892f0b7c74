"""Taking out what upstreams said, for those who may not see providers' names. Pure.

An upstream's words name it often enough: in a refusal, the address of a redirect, or the host of a
connection that failed. So do those of an operator who has decided about an order there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from schemas.aftercare import RefillRecord
from schemas.catalogue import Service
from schemas.doubts import ResolutionRecord
from schemas.operators import ActionRecord
from schemas.order_records import AttemptRecord

#: Why these were done says what somebody has seen at the upstream.
_ABOUT_UPSTREAMS = frozenset({"order.resolved"})


def attempt_without(attempt: AttemptRecord) -> AttemptRecord:
    """An attempt with whom its refusal concerned in place of the upstream's words."""
    refused = f"refused: the {attempt.refusal}" if attempt.refusal else None
    return replace(attempt, reason=refused, http_status=None)


def refill_without(refill: RefillRecord) -> RefillRecord:
    """A refill without the upstream's words."""
    return replace(refill, reason=None)


def resolution_without(resolution: ResolutionRecord) -> ResolutionRecord:
    """A decision without what was found at the upstream."""
    return replace(resolution, reason="")


def act_without(act: ActionRecord) -> ActionRecord:
    """What an operator did, without why where that is about the upstream."""
    return replace(act, reason=None) if act.action in _ABOUT_UPSTREAMS else act


def story_without(story: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The attempts, refills, resolutions and acts of an order's story."""
    return {
        "attempts": [attempt_without(one) for one in story["attempts"]],
        "bodies": {},
        "refills": [refill_without(one) for one in story["refills"]],
        "resolutions": [resolution_without(one) for one in story["resolutions"]],
        "acts": [act_without(one) for one in story["acts"]],
    }


def service_without(service: Service) -> Service:
    """A service without its numbers at upstreams, and without why it or a route is off."""
    routes = tuple(
        replace(route, upstream_service="", disabled_reason=None) for route in service.routes
    )
    return replace(service, disabled_reason=None, routes=routes)
