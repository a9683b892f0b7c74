"""The console's templates: escaped by default, and no name that is not given."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.web.ops.static_files import address_of
from gateway.web.ops.words import FILTERS


def templates() -> Environment:
    """The environment of all pages."""
    environment = Environment(
        loader=PackageLoader("gateway.web.ops"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["static"] = address_of
    return environment
