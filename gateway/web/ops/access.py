"""Who may use what: the one table of the console's routes. What is not in it is denied."""

from enum import Enum
from typing import NamedTuple, TypeAlias

from schemas.operator_accounts import Stage
from schemas.operators import Role


class Open(Enum):
    """Needs no session."""

    ANYONE = "anyone"


#: Who may: anyone, who has come so far in signing in (``FULL``: however far), or a role and those
#: above it.
Need: TypeAlias = Open | Stage | Role

NEEDS: dict[str, Need] = {
    # Signing in
    "GET /": Open.ANYONE,
    "GET /ops/static/{name}": Open.ANYONE,
    "GET /ops/sign-in": Open.ANYONE,
    "POST /ops/sign-in": Open.ANYONE,
    "GET /ops/welcome/{token}": Open.ANYONE,
    "POST /ops/welcome/{token}": Open.ANYONE,
    "GET /ops/code": Stage.CODE,
    "POST /ops/code": Stage.CODE,
    "GET /ops/enrol": Stage.ENROL,
    "POST /ops/enrol": Stage.ENROL,
    "POST /ops/sign-out": Stage.FULL,
    # One's own account
    "GET /ops/account": Role.VIEWER,
    "POST /ops/account/password": Role.VIEWER,
    "POST /ops/account/second-factor": Role.VIEWER,
    "POST /ops/account/recovery-codes": Role.VIEWER,
    "POST /ops/account/sessions/{id}/end": Role.VIEWER,
    # Pages
    "GET /ops": Role.VIEWER,
    "GET /ops/orders": Role.VIEWER,
    "GET /ops/orders/{id}": Role.VIEWER,
    "POST /ops/orders/{id}/note": Role.SUPPORT,
    "POST /ops/orders/{id}/cancel": Role.SUPPORT,
    "POST /ops/orders/{id}/resend": Role.SUPPORT,
    "POST /ops/orders/{id}/refund": Role.MANAGER,
    "POST /ops/orders/{id}/resolve": Role.MANAGER,
    "GET /ops/review": Role.VIEWER,
    "GET /ops/ordering": Role.VIEWER,
    "POST /ops/ordering/stop": Role.MANAGER,
    "POST /ops/ordering/start": Role.MANAGER,
    "GET /ops/bulk": Role.SUPPORT,
    "POST /ops/bulk": Role.SUPPORT,  # what a deed needs for one order, it needs for many
    "GET /ops/jobs": Role.SUPPORT,
    "GET /ops/jobs/{id}": Role.SUPPORT,
    "GET /ops/jobs/{id}/sheet": Role.MANAGER,
    "GET /ops/providers": Role.VIEWER,
    "GET /ops/providers/{id}": Role.VIEWER,
    "POST /ops/providers/{id}/alias": Role.MANAGER,
    "POST /ops/providers/{id}/probe": Role.MANAGER,
    "POST /ops/providers/{id}/{verb}": Role.MANAGER,
    "GET /ops/changes": Role.MANAGER,
    "POST /ops/changes": Role.MANAGER,
    "GET /ops/services": Role.VIEWER,
    "GET /ops/services/{id}": Role.VIEWER,
    "POST /ops/services/{id}": Role.MANAGER,
    "POST /ops/services/{id}/routes/{route}": Role.MANAGER,
    "GET /ops/speed": Role.VIEWER,
    "GET /ops/prices": Role.MANAGER,
    "POST /ops/prices/markup": Role.MANAGER,
    "POST /ops/prices/{id}/remove": Role.MANAGER,
    "GET /ops/import": Role.MANAGER,
    "POST /ops/import": Role.MANAGER,
    "GET /ops/resellers": Role.VIEWER,
    "GET /ops/resellers/{id}": Role.VIEWER,
    "POST /ops/resellers/{id}/view": Role.SUPPORT,
    "POST /ops/resellers": Role.MANAGER,
    "POST /ops/resellers/{id}/credit": Role.MANAGER,
    "POST /ops/resellers/{id}/adjust": Role.MANAGER,
    "POST /ops/resellers/{id}/terms": Role.MANAGER,
    "POST /ops/resellers/{id}/suspend": Role.MANAGER,
    "POST /ops/resellers/{id}/resume": Role.MANAGER,
    "POST /ops/resellers/{id}/price": Role.MANAGER,
    "POST /ops/resellers/{id}/keys": Role.MANAGER,
    "POST /ops/resellers/{id}/keys/{key}/revoke": Role.MANAGER,
    "GET /ops/confirmations": Role.MANAGER,
    "POST /ops/confirmations/{id}": Role.MANAGER,
    "GET /ops/reports": Role.VIEWER,
    "GET /ops/reports/sheet": Role.VIEWER,
    "POST /ops/reports": Role.MANAGER,
    "GET /ops/operators": Role.OWNER,
    "POST /ops/operators": Role.OWNER,
    "POST /ops/operators/{name}": Role.OWNER,
    "POST /ops/operators/{name}/reset": Role.OWNER,
    "POST /ops/operators/{name}/end-sessions": Role.OWNER,
    "GET /ops/log": Role.MANAGER,
}


class MenuItem(NamedTuple):
    """A page in the menu."""

    path: str
    label: str
    group: str


MENU: tuple[MenuItem, ...] = (
    MenuItem("/ops", "Overview", "Now"),
    MenuItem("/ops/orders", "Orders", "Now"),
    MenuItem("/ops/review", "Review", "Now"),
    MenuItem("/ops/ordering", "Ordering", "Now"),
    MenuItem("/ops/bulk", "Bulk actions", "Now"),
    MenuItem("/ops/jobs", "Jobs", "Now"),
    MenuItem("/ops/providers", "Providers", "Supply"),
    MenuItem("/ops/changes", "Catalogue changes", "Supply"),
    MenuItem("/ops/import", "Import", "Supply"),
    MenuItem("/ops/services", "Services", "Sale"),
    MenuItem("/ops/speed", "Service speed", "Sale"),
    MenuItem("/ops/prices", "Prices", "Sale"),
    MenuItem("/ops/resellers", "Resellers", "Sale"),
    MenuItem("/ops/confirmations", "Amounts to confirm", "Sale"),
    MenuItem("/ops/reports", "Reports", "Sale"),
    MenuItem("/ops/operators", "Operators", "House"),
    MenuItem("/ops/log", "Operators' log", "House"),
)


def may(role: Role, need: Need) -> bool:
    """Whether a signed-in operator of that role may use what needs this."""
    return role.covers(need) if isinstance(need, Role) else True


def menu_of(role: Role) -> list[tuple[str, list[MenuItem]]]:
    """The pages that a role sees in its menu, by group."""
    groups: dict[str, list[MenuItem]] = {}
    for item in MENU:
        if may(role, NEEDS[f"GET {item.path}"]):
            groups.setdefault(item.group, []).append(item)
    return list(groups.items())


def section_of(path: str) -> str:
    """The page of the menu that a path belongs to."""
    fitting = [m.path for m in MENU if path == m.path or path.startswith(f"{m.path}/")]
    return max(fitting, key=len, default="")
