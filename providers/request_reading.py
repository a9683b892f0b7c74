"""Reading the answers to refill and cancel requests: taken under which id, or refused."""

from collections.abc import Sequence

from providers.decoding import Json, first_of, folded
from providers.reading import find_failure, is_yes, read_order_id
from providers.status_reading import rows_by_id
from schemas.upstream import UpstreamRequest

_NOT_TAKEN = "not taken"


def read_requests(payload: Json, ids: Sequence[str], action: str) -> dict[str, UpstreamRequest]:
    """What an answer says of the ``action``, refill or cancel, that was asked for ``ids``.

    Empty when nothing in it can be matched to them.
    """
    rows = rows_by_id(payload, ids, "order", "orderid")
    requests = {order_id: _read_request(row, order_id, action) for order_id, row in rows.items()}
    return {order_id: request for order_id, request in requests.items() if request}


def _read_request(row: Json, order_id: str, action: str) -> UpstreamRequest | None:
    failure = find_failure(row)
    if failure and not is_yes(row):
        return UpstreamRequest(taken=False, error=failure.text)
    if not isinstance(row, dict):
        return UpstreamRequest(taken=True) if is_yes(row) else None
    fields = folded(row)
    if action not in fields:
        taken = any(is_yes(fields.get(name)) for name in ("success", "status", "ok"))
        # One family puts a whole sentence under "success".
        taken = taken or isinstance(fields.get("success"), str)
        return UpstreamRequest(taken=True) if taken else None
    return _read_value(fields[action], order_id, action)


def _read_value(value: Json, order_id: str, action: str) -> UpstreamRequest | None:
    """The value under the action's own name: an id, a flag, a word, or an error within."""
    if isinstance(value, dict):
        failure = find_failure(value)
        if failure:
            return UpstreamRequest(taken=False, error=failure.text)
        value = first_of(folded(value), "id", action)
    if value in (None, False, "", 0, "0"):
        return UpstreamRequest(taken=False, error=_NOT_TAKEN)
    request_id = read_order_id(value)
    if action == "cancel" and (is_yes(value) or request_id == order_id):
        return UpstreamRequest(taken=True)  # a flag, or the order: no id of its own
    if isinstance(request_id, str):
        return UpstreamRequest(taken=True, request_id=request_id)
    return UpstreamRequest(taken=True) if is_yes(value) else None
