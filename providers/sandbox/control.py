"""The control address: how a test or an operator commands the sandbox. Loopback only, JSON."""

import json
import random
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, TypeAlias

from aiohttp import web

from providers.sandbox.answers import honest
from providers.sandbox.faults import FAULTS, BadFault, Rule, parse_fault
from providers.sandbox.forms import Refused
from providers.sandbox.front import Front
from providers.sandbox.orders import Order
from providers.sandbox.panel import CURRENCY, clock
from providers.sandbox.progress import Standing
from schemas.money import BadAmount, format_amount, parse_amount
from schemas.orders import WireStatus


class BadCommand(ValueError):
    """The command cannot be carried out; the message says why."""


Command: TypeAlias = Callable[[dict[str, Any]], Awaitable[Any]]


class Control:
    """The commands, each of which answers with what is now in force."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._panel = front.panel
        self._book = front.panel.book

    def add_routes(self, app: web.Application) -> None:
        """Serve the commands under ``/control/``."""
        commands: dict[tuple[str, str], Command] = {
            ("GET", "/control/state"): self._state,
            ("GET", "/control/orders"): self._orders,
            ("GET", "/control/faults"): self._faults,
            ("POST", "/control/faults"): self._add_fault,
            ("DELETE", "/control/faults"): self._clear_faults,
            ("POST", "/control/speed"): self._speed,
            ("POST", "/control/advance"): self._advance,
            ("POST", "/control/balance"): self._balance,
            ("POST", "/control/conduct"): self._conduct,
            ("POST", "/control/order"): self._order,
        }
        for (method, path), command in commands.items():
            app.router.add_route(method, path, _handler(command))

    async def _state(self, command: dict[str, Any]) -> Any:
        conduct = self._panel.conduct
        return {
            "balance": format_amount(self._book.balance(clock())),
            "currency": CURRENCY,
            "orders": len(self._book.orders),
            "seconds": self._book.pace.seconds,
            "requests": dict(self._front.requests),
            "unique_links": conduct.unique_links,
            "order_list": conduct.order_list,
            "latency_before_ms": conduct.latency_before_ms,
            "latency_after_ms": conduct.latency_after_ms,
        }

    async def _orders(self, command: dict[str, Any]) -> Any:
        now = clock()
        rows = []
        for order in self._book.orders.values():
            standing = self._book.standing(order, now)
            rows.append(
                {
                    **order.record(),
                    "status": standing.status,
                    "remains": standing.remains,
                    "start_count": standing.start_count,
                    "charged": format_amount(self._book.charge(order, now)),
                }
            )
        return rows

    async def _faults(self, command: dict[str, Any]) -> Any:
        rules = self._front.rules.rules
        return {
            "rules": [
                {
                    "action": rule.action,
                    "fault": [str(fault) for fault in rule.faults],
                    "times": rule.times,
                    "share": rule.share,
                }
                for rule in rules
            ],
            "known": sorted(FAULTS),
        }

    async def _add_fault(self, command: dict[str, Any]) -> Any:
        names = command.get("fault", [])
        names = names if isinstance(names, list) else [names]
        share = _number(command, "share", 1.0)
        # A share with no count goes on until it is cleared; a fault with neither comes once.
        times = command.get("times", None if "share" in command else 1)
        if not names or not 0 < share <= 1 or not (times is None or _whole(times, 1)):
            raise BadCommand("give fault (one or a list), times >= 1 or a share within 0..1")
        action = command.get("action", "add")
        if action not in self._panel.actions:
            raise BadCommand(f"there is no action {action!r}")
        faults = tuple(parse_fault(str(name)) for name in names)
        chance = random.Random(_number(command, "seed", 0))
        self._front.rules.rules.append(Rule(action, faults, times, share, chance))
        return await self._faults(command)

    async def _clear_faults(self, command: dict[str, Any]) -> Any:
        self._front.rules.rules.clear()
        return await self._faults(command)

    async def _speed(self, command: dict[str, Any]) -> Any:
        seconds = command.get("seconds")
        if seconds is not None and _number(command, "seconds", 0) <= 0:
            raise BadCommand("seconds is more than 0, or null to stop all orders")
        at = self._book.moment(clock())
        await self._panel.record({"event": "pace", "at": at, "seconds": seconds})
        return await self._state(command)

    async def _advance(self, command: dict[str, Any]) -> Any:
        work = _number(command, "work", 1.0)
        if work <= 0:
            raise BadCommand("work is more than 0; 1 brings every order to its end")
        at = self._book.moment(clock())
        await self._panel.record({"event": "advance", "at": at, "work": work})
        return await self._state(command)

    async def _balance(self, command: dict[str, Any]) -> Any:
        amount = parse_amount(str(command.get("amount", "")))
        await self._panel.record(self._book.balance_event(amount, clock()))
        return await self._state(command)

    async def _conduct(self, command: dict[str, Any]) -> Any:
        conduct = self._panel.conduct
        before = command.get("latency_before_ms", conduct.latency_before_ms)
        after = command.get("latency_after_ms", conduct.latency_after_ms)
        unique = command.get("unique_links", conduct.unique_links)
        listed = command.get("order_list", conduct.order_list)
        flags = isinstance(unique, bool) and isinstance(listed, bool)
        if not (_whole(before, 0) and _whole(after, 0) and flags):
            raise BadCommand(
                "latencies are whole milliseconds, unique_links and order_list true or false"
            )
        conduct.latency_before_ms, conduct.latency_after_ms = before, after
        conduct.unique_links, conduct.order_list = unique, listed
        return await self._state(command)

    async def _order(self, command: dict[str, Any]) -> Any:
        number = command.get("order")
        if not isinstance(number, int):
            raise BadCommand("order is the id of an accepted order")
        order = self._panel.order(number)
        standing = _wanted(command, order, self._book.standing(order, clock()))
        await self._panel.set_standing(order, standing)
        return {"order": order.number, "charged": format_amount(self._book.charge(order, clock()))}


def _wanted(command: dict[str, Any], order: Order, now: Standing) -> Standing:
    """The standing that a command asks for; what it leaves out follows from the status."""
    status = str(command.get("status", now.status))
    delivered = {WireStatus.COMPLETED: 0, WireStatus.CANCELED: order.quantity}
    default = now.remains
    if "status" in command:
        default = next((left for word, left in delivered.items() if word == status), default)
    remains = command.get("remains", default)
    start_count = command.get("start_count", now.start_count)
    if type(remains) is not int or type(start_count) is not int:
        raise BadCommand("remains and start_count are whole numbers")
    return Standing(status, remains, start_count)


def _whole(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _number(command: dict[str, Any], name: str, default: float) -> float:
    value = command.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadCommand(f"{name} is a number")
    return float(value)


def _handler(command: Command) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if not ip_address(request.remote or "0.0.0.0").is_loopback:
            return web.json_response({"error": "loopback only"}, status=403)
        try:
            found = json.loads(await request.read() or b"{}")
            if not isinstance(found, dict):
                raise BadCommand("a command is a JSON object")
            return honest(await command(found))
        except (BadFault, BadAmount, BadCommand, Refused, json.JSONDecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return handle
