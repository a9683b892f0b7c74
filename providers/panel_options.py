"""What an operator may say of an account at a panel."""

from pydantic import BaseModel, ConfigDict, Field

from schemas.upstream import RefusalGroup


class PanelOptions(BaseModel):
    """The options of a panel account, all off unless somebody turns them on.

    ``any_error_is_refusal`` declares, after a test, that this panel creates nothing when it
    answers an error in any words. ``known_refusals`` teaches single texts instead.
    ``cancel_one_by_one`` is for panels whose cancel action takes one ``order``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    any_error_is_refusal: bool = False
    known_refusals: dict[str, RefusalGroup] = Field(default_factory=dict)
    cancel_one_by_one: bool = False
