"""The book without journals or sockets: time is a number here."""

from providers.sandbox.book import Book
from providers.sandbox.orders import Order, read_draft
from schemas.money import UNIT

NOON = 1_000_000_000


def _book() -> Book:
    book = Book()
    book.apply(book.balance_event(100 * UNIT, NOON))
    return book


def _accept(book: Book, clock: int) -> Order:
    wanted = {"service": "101", "link": "https://example.com/p", "quantity": "1000"}
    return book.accept(read_draft(wanted), (), clock, unique_link=False)


def test_records_keep_their_order_on_a_clock_that_stands_or_runs_back() -> None:
    book = _book()
    order = _accept(book, NOON)
    book.apply({"event": "advance", "at": book.moment(NOON), "work": 1.0})
    assert book.standing(order, NOON).status == "Completed"
    late = _accept(book, NOON - 500)
    assert late.at > order.at
    assert book.standing(late, NOON - 500).status == "Pending"


def test_a_replayed_book_is_the_same_book() -> None:
    book, events = _book(), []
    orders = [_accept(book, NOON + n) for n in range(3)]
    for event in (
        {"event": "pace", "at": book.moment(NOON + 10), "seconds": 10.0},
        {
            "event": "standing",
            "at": book.moment(NOON + 20),
            "order": orders[1].number,
            "status": "Partial",
            "remains": 100,
            "start_count": 3,
        },
    ):
        book.apply(event)
        events.append(event)
    again = Book()
    for order in orders:
        again.enter(order)
    for event in [{"event": "deposit", "at": NOON, "amount": "100.00"}, *events]:
        again.apply(event)
    later = NOON + 7_000_000
    assert again.balance(later) == book.balance(later) == 100 * UNIT - 3 * 840_000 + 84_000
    for order in orders:
        assert again.standing(order, later) == book.standing(order, later)
    assert _accept(again, later).number == orders[-1].number + 1


def test_the_posts_of_a_subscription_are_replayed() -> None:
    book, events = _book(), []
    wanted = {"service": "123", "username": "x", "min": "20", "max": "50", "delay": "0"}
    order = book.accept(read_draft(wanted | {"posts": "2"}), (), NOON, unique_link=False)
    for _ in range(2):
        events.append(book.post_event(order, NOON))
        book.apply(events[-1])
    later = _accept(book, NOON)
    again = Book()
    for known in (order, later):
        again.enter(known)
    for event in [{"event": "deposit", "at": NOON, "amount": "100.00"}, *events]:
        again.apply(event)
    assert again.children(order) == book.children(order) == [23502, 23503]
    assert _accept(again, NOON).number == _accept(book, NOON).number == 23505
