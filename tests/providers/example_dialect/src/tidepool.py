from collections.abc import Mapping
from typing import ClassVar

from providers.panel_v2 import PanelV2
from schemas.upstream import Submission


class Tidepool(PanelV2):
    kind = "tidepool"
    paths: ClassVar[Mapping[str, str]] = {"order": "job.no", "balance": "account.funds"}
    default_options: ClassVar[Mapping[str, object]] = {"method": "GET", "response_paths": paths}

    def encode_add(self, order: Submission) -> dict[str, str]:
        return {**super().encode_add(order), "link": order.parameters["link"].partition("?")[0]}
