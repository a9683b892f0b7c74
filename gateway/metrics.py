"""Metrics: what ``/metrics`` shows. Labels are bounded: no order, link or reseller among them."""

from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

RATE_LIMITED = Counter(
    "smm_rate_limited_total", "Calls refused for being too many, of a key or an address", ["kind"]
)
VALKEY_LOST = Gauge("smm_valkey_lost", "1 while Valkey is lost to what needs it", ["user"])
VALKEY_LOSSES = Counter("smm_valkey_losses_total", "How often Valkey was lost", ["user"])
ADDS = Counter("smm_adds_total", "Orders asked for, by what became of them", ["outcome"])
GROUP_SIZE = Histogram(
    "smm_intake_group_orders",
    "Orders per intake transaction",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250),
)
GROUP_SECONDS = Histogram(
    "smm_intake_group_seconds", "Duration of an intake transaction", buckets=_FAST
)
COMMIT_DOUBTS = Counter(
    "smm_commit_doubts_total",
    "Transactions whose COMMIT got no answer, by what they were and what became of them",
    ["work", "outcome"],
)
DOUBTFUL_ORDERS = Counter(
    "smm_doubtful_orders_total", "Orders given up in doubt, by what they turned out as", ["outcome"]
)
SPOOL_ENTRIES = Gauge("smm_spool_entries", "What the database does not know yet", ["kind"])
SPOOL_BYTES = Gauge("smm_spool_bytes", "Size of this process's spool")
ATTEMPTS = Counter("smm_attempts_total", "Submissions to upstreams", ["provider", "outcome"])
UPSTREAM_SECONDS = Histogram(
    "smm_upstream_seconds", "Duration of upstream calls", ["provider", "action"], buckets=_SLOW
)
POLLS = Counter("smm_polls_total", "Status calls to upstreams", ["provider", "outcome"])
MOVES = Counter("smm_order_moves_total", "Moves of orders", ["state"])
REFUNDS = Counter("smm_refunds_micros_total", "Refunded, in micro-units", ["currency"])
RUNS = Counter("smm_runs_total", "Parts of orders that were made", ["kind"])
RUN_LATE_SECONDS = Histogram(
    "smm_run_late_seconds",
    "How far behind its plan a run of a drip-feed was made",
    buckets=(1, 5, 15, 60, 300, 900, 3600, 14400, 86400),
)
OPEN_ORDERS = Gauge("smm_open_orders", "Orders that are not finished", ["state"])
OLDEST_ORDER = Gauge("smm_oldest_order_seconds", "Age of the oldest open order", ["state"])
REFILLS = Counter("smm_refills_total", "Refills, by what became of them", ["outcome"])
OPEN_REFILLS = Gauge("smm_open_refills", "Refills that are not finished", ["state"])
CANCELS = Counter("smm_cancels_total", "Requests to cancel, by what became of them", ["outcome"])
PROVIDER_HELD = Gauge("smm_provider_held", "1 while a provider is set aside", ["provider"])
CATALOGUE_CHANGES = Counter(
    "smm_catalogue_changes_total", "Changes in upstream catalogues", ["kind", "state"]
)
CATALOGUE_CHANGES_HELD = Gauge(
    "smm_catalogue_changes_held", "Changes in upstream catalogues that wait for an operator"
)
CATALOGUE_AGE = Gauge(
    "smm_catalogue_age_seconds", "Since an upstream's catalogue was last taken over", ["provider"]
)
PROVIDER_BALANCE = Gauge(
    "smm_provider_balance", "What an account holds, in its currency, as last read", ["provider"]
)
BREAKER_STATE = Gauge(
    "smm_provider_breaker_state",
    "Sending to a provider: 0 closed, 1 half-open, 2 open",
    ["provider"],
)
READS_BREAKER_STATE = Gauge(
    "smm_provider_reads_breaker_state",
    "Reading from a provider: 0 closed, 1 half-open, 2 open",
    ["provider"],
)
REROUTES = Counter("smm_order_reroutes_total", "Orders given another route, by why", ["cause"])
WORKERS_READY = Gauge("smm_workers_ready", "Worker processes that are ready, at the supervisor")
WORKER_RESTARTS = Counter(
    "smm_worker_restarts_total", "Worker processes that died, and a successor"
)
SYNC_STANDBYS = Gauge(
    "smm_database_sync_standbys",
    "Standbys that confirm every commit; NaN where none is asked for, or the role may not see it",
)
CONTRADICTIONS = Counter(
    "smm_contradictions_total",
    "Attempts that an upstream took although they were decided otherwise",
    ["provider"],
)
RECONCILED = Counter(
    "smm_reconciled_total", "Orders in doubt, by what was found out", ["provider", "verdict"]
)
DOUBTFUL_CHARGE = Gauge(
    "smm_doubtful_charge_micros",
    "What was paid for orders that are unknown or in review, in micro-units",
    ["state"],
)
AUDIT_VIOLATIONS = Gauge(
    "smm_audit_violations", "Rows that the last run of the watching audit found broken"
)
AUDIT_WARNINGS = Gauge("smm_audit_warnings", "What that run found waiting too long")
AUDIT_SECONDS = Gauge("smm_audit_seconds", "How long that run took")
AUDIT_AGE = Gauge("smm_audit_age_seconds", "Since that run, whichever process made it")
LOOP_FAILURES = Counter("smm_loop_failures_total", "Failed runs of background loops", ["loop"])


class RequestCounts(Collector):
    """Panel API calls by action and outcome: plain additions on the hot path, read at a scrape."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, action: str, outcome: str) -> None:
        """Count one call."""
        pair = (action, outcome)
        self._counts[pair] = self._counts.get(pair, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        family = CounterMetricFamily(
            "smm_requests", "Panel API calls", labels=["action", "outcome"]
        )
        for pair, number in sorted(self._counts.items()):
            family.add_metric(list(pair), number)
        yield family
