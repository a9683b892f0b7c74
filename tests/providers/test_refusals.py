"""The refusal table: what is known, and above all what is not."""

import pytest

from providers.refusals import group_of, group_of_number, is_incorrect_request, is_unknown_action
from schemas.upstream import RefusalGroup

ORDER, SERVICE = RefusalGroup.ORDER, RefusalGroup.SERVICE
ACCOUNT, TEMPORARY = RefusalGroup.ACCOUNT, RefusalGroup.TEMPORARY

KNOWN = {
    "Incorrect request": ORDER,
    "Quantity less than minimal 200": ORDER,
    "Quantity more than maximum 1000000": ORDER,
    "Quantity more than maximum 1,000,000": ORDER,
    "Quantity must to be greater than or equal to minimum amount 10": ORDER,
    "Quantity must be between 10 and 500": ORDER,
    "Quantity must be a multiple of 50.": ORDER,
    "Minimum quantity is 100": ORDER,
    "Incorrect quantity": ORDER,
    "Incorrect link": ORDER,
    "Incorrect usernames": ORDER,
    "Incorrect type_of_traffic": ORDER,
    "Request too large": ORDER,
    "Price changed": ORDER,
    "This order cannot be cancelled": ORDER,
    "Duplicate link": TEMPORARY,
    "Incorrect action": ACCOUNT,
    "Bad link": ORDER,
    "Bad Link": ORDER,
    "The link field is required.": ORDER,
    "Instagram profile is hidden.": ORDER,
    "Invalid Interval in minutes": ORDER,
    "You did not meet the minimum number.": ORDER,
    "Enter a value above the minimum number.": ORDER,
    "Incorrect order ID": ORDER,
    "Order not found.": ORDER,
    "Empty Order Id.": ORDER,
    "Refill is disabled for this service": ORDER,
    "The order was completed or refill was requested less than 24 hours ago": ORDER,
    "Cancel already requested": ORDER,
    "Incorrect service ID": SERVICE,
    "Disabled service ID": SERVICE,
    "Service ID does not exists": SERVICE,
    "Service is inactive or not found": SERVICE,
    "Service temporarily disabled": SERVICE,
    "Invalid API key": ACCOUNT,
    "Invalid API Key": ACCOUNT,
    "API key is incorrect": ACCOUNT,
    "API is Disable for this user or User Not Found! Contact the Support": ACCOUNT,
    "user_inactive": ACCOUNT,
    "Your account has been suspended.": ACCOUNT,
    "IP not allowed": ACCOUNT,
    "Not enough funds on balance": ACCOUNT,
    "Network balance is too low": ACCOUNT,
    "You have insufficient balance": ACCOUNT,
    "Your balance is insufficient.": ACCOUNT,
    "Unknown action specified!": ACCOUNT,
    "This action is Invalid": ACCOUNT,
    "You have active order with this link. Please wait until order being completed.": TEMPORARY,
    "You cannot start a new order with the same link that is active processing order.": TEMPORARY,
    "An identical order was just placed": TEMPORARY,
    "processing another transaction": TEMPORARY,
    "Too many requests": TEMPORARY,
    "Rate limit exceeded. Slow down.": TEMPORARY,
    "Ordering is disabled": TEMPORARY,
    "neworder.error.not_enough_funds": ACCOUNT,
    "neworder.error.insufficient_balance": ACCOUNT,
    "neworder.error.account_banned": ACCOUNT,
    "neworder.error.link_duplicate": TEMPORARY,
    "neworder.error.too_many_orders": TEMPORARY,
    "neworder.error.link": ORDER,
    "neworder.error.invalid_link": ORDER,
    "NewOrder.Error.MIN_QUANTITY": ORDER,
    "neworder.error.service_inactive": SERVICE,
    "error.incorrect_service_id": SERVICE,
}

#: What could be taken for a refusal by somebody who looks for words in it.
UNKNOWN = [
    "",
    "error",
    "Something went wrong",
    "An error occurred while placing your order.",
    "There was an error processing your request",
    "Order 123 was created, but: Bad link",
    "Bad link was replaced, order accepted",
    "Invalid API key rotated successfully",
    "Not enough funds on balance to refill later, order accepted",
    "Too many requests, order queued",
    "Quantity less than minimal",
    "Quantity less than minimal 200, raised to 200",
    "link",
    "min_quantity",
    "www.link",
    "neworder.success.link",
    "neworder.error.unheard_of",
    "neworder.error.link.warning",
    "Incorrect",
    "Incorrect service",
    "Incorrect order",
    "external_id was used with other parameters",
    "Temporary error. Repeat with the same external_id, or check its status before sending again",
    "Timeout",
    "Internal error",
    "101",
]


@pytest.mark.parametrize("text", KNOWN)
def test_a_known_refusal_has_its_group_in_any_case_and_spacing(text: str) -> None:
    for spelling in (text, text.upper(), f"  {text.replace(' ', '   ')}\n"):
        assert group_of(spelling) is KNOWN[text]


@pytest.mark.parametrize("text", UNKNOWN)
def test_a_text_that_is_not_wholly_known_proves_nothing(text: str) -> None:
    assert group_of(text) is None


@pytest.mark.parametrize(
    ("number", "group"),
    [
        (101, ORDER),
        (102, ACCOUNT),
        (103, ACCOUNT),
        (104, ORDER),
        (105, SERVICE),
        (107, ORDER),
        (112, ORDER),
        (113, TEMPORARY),
        (115, SERVICE),
        (100, None),
        (106, None),
        (114, None),
        (116, None),
        (200, None),
    ],
)
def test_a_number_beside_an_error_has_its_group(number: int, group: RefusalGroup | None) -> None:
    assert group_of_number(number) is group


def test_a_missing_action_is_told_from_a_request_that_was_not_understood() -> None:
    assert is_unknown_action("Invalid action.")
    assert not is_unknown_action("Incorrect request")
    assert is_incorrect_request("incorrect  request")
    assert not is_incorrect_request("Incorrect order ID")
