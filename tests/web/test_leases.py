"""Shares of buckets: they answer at once, and all together never give much more than the bucket."""

from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from multidict import CIMultiDict

from gateway.web.buckets import Limit
from gateway.web.leases import Ask, Leases
from tests.web.bank import Bank, Clock, banked

SECOND = 1_000_000_000
PROCESSES = 3
_PROCESS = st.integers(0, PROCESSES - 1)


def _leases(clock: Clock, **options: int) -> Leases[str]:
    return Leases(lambda: None, clock, **options)


class ManyProcesses(RuleBasedStateMachine):
    """Calls, exchanges that are answered late, lost or not at all, sweeps, losses and time."""

    @initialize(rate=st.sampled_from([1, 10, 1000]), burst=st.integers(1, 300))
    def begin(self, rate: int, burst: int) -> None:
        self.clock = Clock()
        self.began = self.clock.now
        self.limit = Limit(rate, SECOND, burst)
        self.bank = Bank(self.clock)
        self.processes = [_leases(self.clock) for _ in range(PROCESSES)]
        self.on_the_wire: list[tuple[Leases[str], list[Ask]]] = []
        self.given = 0
        self.lives = PROCESSES

    @rule(process=_PROCESS, calls=st.integers(1, 400))
    def call(self, process: int, calls: int) -> None:
        taken = [self.processes[process].take("key", self.limit) for _ in range(calls)]
        self.given += sum(not quota.wait for quota in taken)

    @rule(process=_PROCESS)
    def ask(self, process: int) -> None:
        leases = self.processes[process]
        if asks := leases.due(10):
            self.on_the_wire.append((leases, asks))

    @rule(answered=st.booleans())
    def hear(self, answered: bool) -> None:
        """The oldest exchange is answered, or its answer is lost and it is asked again."""
        if not self.on_the_wire:
            return
        leases, asks = self.on_the_wire.pop(0)
        if answered:
            self.bank.settle(leases, asks)
        else:
            for ask in asks:
                leases.fail(ask)

    @rule(process=_PROCESS)
    def exchange(self, process: int) -> None:
        self.bank.exchange(self.processes[process])

    @rule(process=_PROCESS)
    def sweep(self, process: int) -> None:
        self.processes[process].sweep()

    @rule(process=_PROCESS)
    def end_and_begin_anew(self, process: int) -> None:
        """A process that ends gives back and pays; its next life knows nothing of the bucket."""
        leases = self.processes[process]
        on_the_wire = any(of is leases for of, _ in self.on_the_wire)
        if not on_the_wire:
            leases.give_back()
            self.bank.exchange(leases)
            self.processes[process] = _leases(self.clock)
            self.lives += 1

    @rule(pause=st.integers(0, 3 * SECOND) | st.integers(0, SECOND // 10))
    def wait(self, pause: int) -> None:
        self.clock.now += pause

    @invariant()
    def no_more_passes_than_the_limit_and_what_processes_may_lend(self) -> None:
        elapsed = self.clock.now - self.began
        allowed = self.limit.burst + elapsed // self.limit.interval
        assert self.given <= allowed + self.lives * self.limit.credit


TestManyProcesses = ManyProcesses.TestCase


@given(
    rate=st.sampled_from([1, 8, 100, 1000]),
    burst=st.integers(1, 200),
    pauses=st.lists(st.sampled_from([0, 0, 0, SECOND // 500, SECOND // 20, SECOND]), max_size=400),
)
@example(rate=1000, burst=1, pauses=[0, SECOND // 500, SECOND // 500])
def test_one_process_whose_exchanges_are_answered_gives_all_that_the_bucket_has(
    rate: int, burst: int, pauses: list[int]
) -> None:
    """Never less than a pail with a tap; more only what it held while the pail ran over."""
    clock, limit = Clock(), Limit(rate, SECOND, burst)
    leases, began = banked(clock), clock.now
    held, given_out = burst * limit.interval, 0
    for pause in pauses:
        clock.now += pause
        held = min(burst * limit.interval, held + pause)
        quota = leases.take("key", limit)
        assert held < limit.interval or not quota.wait
        held -= limit.interval if held >= limit.interval else 0
        given_out += not quota.wait
        assert given_out <= burst + (clock.now - began) // limit.interval


def test_a_burst_through_one_process_passes_while_exchanges_take_their_time() -> None:
    clock, limit = Clock(), Limit(100, SECOND, 1000)
    bank, leases = Bank(clock), _leases(clock)
    answered = 0
    for _ in range(250):
        answered += sum(not leases.take("key", limit).wait for _ in range(4))
        bank.exchange(leases)
    assert answered == 1000
    assert leases.take("key", limit).wait > 0


def test_a_key_that_was_used_up_elsewhere_passes_only_on_credit() -> None:
    clock, limit = Clock(), Limit(1, SECOND, 80)
    bank, here, there = Bank(clock), _leases(clock), _leases(clock)
    while not here.take("key", limit).wait:
        bank.exchange(here)
        clock.now += SECOND // 20
    bank.exchange(here)
    assert sum(not there.take("key", limit).wait for _ in range(100)) == limit.credit == 20
    bank.exchange(there)
    clock.now += 20 * SECOND
    assert there.take("key", limit).wait > 0
    # What passed on credit was charged: so much later the bucket has a token again.
    clock.now += SECOND
    assert not there.take("key", limit).wait


def test_an_idle_process_gives_its_tokens_back_and_forgets_the_key() -> None:
    clock, limit = Clock(), Limit(1, SECOND, 100)
    bank, idle, busy = Bank(clock), _leases(clock), _leases(clock)
    idle.take("key", limit)
    bank.exchange(idle)
    for _ in range(2):
        clock.now += SECOND
        idle.sweep()
        bank.exchange(idle)
    answered = 0
    while not busy.take("key", limit).wait:
        answered += 1
        bank.exchange(busy)
    assert answered >= 99
    clock.now += 200 * SECOND
    idle.sweep()
    assert len(idle) == 0


def test_a_key_in_slow_use_is_not_asked_for_with_every_call() -> None:
    clock, limit = Clock(), Limit(100, SECOND, 1000)
    bank, leases = Bank(clock), _leases(clock)
    asked = 0
    for _ in range(100):
        leases.take("key", limit)
        clock.now += SECOND
        leases.sweep()
        asks = leases.due(10)
        asked += len(asks)
        bank.settle(leases, asks)
    assert asked < 20


def test_headers_count_leased_tokens_as_there() -> None:
    clock, limit = Clock(), Limit(2, SECOND, 100)
    leases = banked(clock)

    def told() -> list[str]:
        headers: CIMultiDict[str] = CIMultiDict()
        leases.take("key", limit).mark(headers)
        return [headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")]

    found = [told() for _ in range(101)]
    assert [remaining for _, remaining, _ in found] == [*map(str, range(99, -1, -1)), "0"]
    assert found[0] == ["100", "99", "1"]
    assert found[-1] == ["100", "0", "50"]


def test_while_the_buckets_are_lost_a_process_answers_half_of_the_limit() -> None:
    clock, limit = Clock(), Limit(10, SECOND, 40)
    leases = _leases(clock)
    leases.lost = True
    assert sum(not leases.take("key", limit).wait for _ in range(100)) == 20
    assert leases.look("key", limit).wait > 0
    clock.now += SECOND
    assert sum(not leases.take("key", limit).wait for _ in range(100)) == 5
    headers: CIMultiDict[str] = CIMultiDict()
    leases.take("key", limit).mark(headers)
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("20", "0")


def test_a_loss_forgets_no_debt_and_no_lease() -> None:
    clock, limit = Clock(), Limit(1, SECOND, 80)
    bank, leases = Bank(clock), _leases(clock)
    for _ in range(3):
        leases.take("key", limit)
    [ask] = leases.due(10)
    leases.fail(ask)
    leases.lost = True
    leases.take("key", limit)
    [again] = leases.due(10)
    assert again.owed == 3
    bank.settle(leases, [again])
    leases.lost = False
    quota = leases.take("key", limit)
    assert quota.missing == 4 * SECOND


def test_shares_are_bounded_and_newcomers_beyond_are_counted_here() -> None:
    clock, limit = Clock(), Limit(1, SECOND, 8)
    leases = _leases(clock, most=10)
    for number in range(50):
        leases.take(str(number), limit)
    assert len(leases) == 10
    assert sum(not leases.take("late", limit).wait for _ in range(20)) == 4
