"""The API's documents as they are served: ``/docs`` for people, ``openapi.json`` for programs.

Both are made once, from the tables that the gateway itself reads.
"""

import base64
import hashlib
import re
import shlex
from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Handler
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway.web.api_actions import ACTIONS
from gateway.web.openapi import openapi_document
from schemas.order_parameters import INTERVAL, MAX_CHARGE, RUNS
from schemas.panel_errors import ERRORS, NAMED_PARAMETERS
from schemas.panel_v2 import encode
from schemas.parameters import Parameter, ParameterKind
from schemas.services import TYPES

DOCS_PATH = "/docs"
OPENAPI_PATH = "/api/v2/openapi.json"

#: What a form carries as it is.
_PLAIN = re.compile(r"[\w.-]+", re.ASCII)

_FORMATS = {
    ParameterKind.LINK: "link",
    ParameterKind.QUANTITY: "whole number",
    ParameterKind.LINES: "list, one value a line",
    ParameterKind.LIST: "list, one value a line or, in a single line, separated by commas",
    ParameterKind.TEXT: "text of one line",
    ParameterKind.NUMBER: "whole number",
    ParameterKind.CHOICE: "one of a list",
    ParameterKind.DATE: "date, d/m/Y or Y-m-d",
    ParameterKind.AMOUNT: "amount of money, like 2.50",
}


def format_text(parameter: Parameter) -> str:
    """The format of a parameter's value, in words."""
    text = _FORMATS[parameter.kind]
    if parameter.kind is ParameterKind.NUMBER:
        return f"{text}, {parameter.least} to {parameter.most}"
    if parameter.kind is ParameterKind.TEXT and parameter.most:
        return f"{text}, at most {parameter.most} characters"
    if parameter.many and parameter.most:
        return f"{text}; at most {parameter.most} lines"
    return text


def need_text(parameter: Parameter) -> str:
    """Whether a parameter is needed, in words."""
    if parameter.needed_when is not None:
        return "needed when {} is {}".format(*parameter.needed_when)
    return "needed" if parameter.required else "optional"


def curl(action: str, request: dict[str, str]) -> str:
    """A call as a command line."""
    lines = ['curl "$URL"', '-d "key=$KEY"', f"-d action={action}"]
    for name, value in request.items():
        if _PLAIN.fullmatch(value):
            lines.append(f"-d {name}={value}")
        else:
            lines.append(f"--data-urlencode {name}={_quoted(value)}")
    return " \\\n  ".join(lines)


def _quoted(value: str) -> str:
    """A value for a shell; several lines as bash and zsh write them."""
    if "\n" not in value:
        return shlex.quote(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"$'{escaped}'"


def docs_html() -> tuple[str, str]:
    """The page, and the security policy that lets nothing in but the page's own style."""
    templates = Environment(
        loader=PackageLoader("gateway.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("gateway.web").joinpath("templates", "docs.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = templates.get_template("docs.html").render(
        style=Markup(style),
        actions=ACTIONS,
        types=TYPES,
        errors=ERRORS,
        named=NAMED_PARAMETERS,
        drip_feed=(RUNS, INTERVAL),
        max_charge=MAX_CHARGE,
        openapi_path=OPENAPI_PATH,
        format_text=format_text,
        need_text=need_text,
        curl=curl,
        compact=lambda value: encode(value).decode(),
    )
    return page, (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )


def add_documents(app: web.Application) -> None:
    """Serve both documents."""
    page, policy = docs_html()
    safe = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    html = safe | {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
    }
    document = safe | {"Content-Type": "application/json"}
    app.router.add_get(DOCS_PATH, _serve(page.encode(), html))
    app.router.add_get(OPENAPI_PATH, _serve(encode(openapi_document()), document))


def _serve(body: bytes, headers: dict[str, str]) -> Handler:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers)

    return serve
