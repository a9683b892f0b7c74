"""Metrics: what ``/metrics`` shows. Labels are bounded: no order, link or reseller among them.

Gauges of the database are the same in every process; ``supervision.merging`` says which of the
others add up. docs/metrics.md lists all families.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from providers.errors import ProviderError
from schemas.money import Micros

# When a series began is of use to nobody here, and would be another line for each.
disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs has no types

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
#: Few, because every account has them for each action.
_SLOW = (0.05, 0.1, 0.25, 1, 2.5, 10, 30, 60)

RATE_LIMITED = Counter(
    "smm_rate_limited_total", "Calls refused for being too many, of a key or an address", ["kind"]
)
SLOW_CLIENTS = Counter(
    "smm_slow_clients_total", "Connections closed for owing the rest of a request", ["part"]
)
VALKEY_LOST = Gauge("smm_valkey_lost", "1 while Valkey is lost to what needs it", ["user"])
VALKEY_LOSSES = Counter("smm_valkey_losses_total", "How often Valkey was lost", ["user"])
ADDS = Counter("smm_adds_total", "Orders that came to intake, by what became of them", ["outcome"])
LEDGER_ENTRIES = Counter(
    "smm_ledger_entries_total", "Movements of money, by their cause", ["cause", "currency"]
)
LEDGER_MICROS = Counter(
    "smm_ledger_micros_total", "What was moved, in micro-units", ["cause", "currency"]
)
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
SPOOL_ENTRIES = Gauge(
    "smm_spool_entries", "What the database does not know yet, on this disk", ["kind"]
)
SPOOL_BYTES = Gauge("smm_spool_bytes", "Size of this process's spool")
SPOOL_QUARANTINED = Gauge(
    "smm_spool_quarantined",
    "Answers and doubts that a defect keeps from the database, on disk here",
)
ATTEMPTS = Counter("smm_attempts_total", "Submissions to upstreams", ["provider", "outcome"])
UPSTREAM_SECONDS = Histogram(
    "smm_upstream_seconds", "Duration of upstream calls", ["provider", "action"], buckets=_SLOW
)
UPSTREAM_ERRORS = Counter(
    "smm_upstream_errors_total",
    "Upstream calls without a proper answer, by kind: rejected, unavailable, ambiguous, defect",
    ["provider", "action", "kind"],
)
PACE_WAITS = Counter(
    "smm_pace_waits_total",
    "How often work waited because an account's budget was spent",
    ["provider", "calls"],
)
POLLS = Counter("smm_polls_total", "Status calls to upstreams", ["provider", "outcome"])
MOVES = Counter("smm_order_moves_total", "Moves of orders", ["state"])
REFUNDS = Counter("smm_refunds_micros_total", "Refunded, in micro-units", ["currency"])
SETTLED_REVENUE = Counter(
    "smm_settled_revenue_micros_total",
    "What resellers paid for orders that have ended, without what was refunded, in micro-units",
    ["provider"],
)
SETTLED_COST = Counter(
    "smm_settled_cost_micros_total",
    "What we expected to pay for what was delivered of them, in micro-units",
    ["provider"],
)
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
PROVIDER_HELD = Gauge(
    "smm_provider_held",
    "1 while a provider is set aside because it refuses the account: no funds, bad key",
    ["provider"],
)
PROVIDER_PAUSED = Gauge(
    "smm_provider_paused", "1 while an operator has paused a provider", ["provider"]
)
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
BALANCE_HOURS = Gauge(
    "smm_provider_balance_hours",
    "How long an account's balance lasts at the pace of the last day; absent where none was spent",
    ["provider"],
)
TRACKING_LAG = Gauge(
    "smm_tracking_lag_seconds",
    "How long the order that waits longest to be asked for has been due",
    ["provider"],
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
WORKERS_WANTED = Gauge("smm_workers_wanted", "Worker processes that there should be")
WORKER_UP = Gauge("smm_worker_up", "1 for a worker process that shows its metrics", ["worker"])
WORKERS_READY = Gauge("smm_workers_ready", "Worker processes that are ready, at the supervisor")
WORKER_RESTARTS = Counter(
    "smm_worker_restarts_total", "Worker processes that died, and a successor"
)
SYNC_STANDBYS = Gauge(
    "smm_database_sync_standbys",
    "Standbys that confirm every commit; NaN where none is asked for, or the role may not see it",
)
SYNC_STANDBYS.set(math.nan)
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
AUDIT_WARNINGS = Gauge("smm_audit_warnings", "What the watching audit found waiting too long")
AUDIT_SECONDS = Gauge("smm_audit_seconds", "How long the last run of the watching audit took")
AUDIT_AGE = Gauge(
    "smm_audit_age_seconds", "Since the watching audit last ran, in whichever process"
)
EVENT_LOOP_LAG = Histogram(
    "smm_event_loop_lag_seconds",
    "How late a timer of the process rang, looked at four times a second",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
ALERTS_OPEN = Gauge("smm_alerts_open", "Trouble that operators were told of", ["kind"])
ALERT_MESSAGES = Counter(
    "smm_alert_messages_total", "Tries to send an alert, by how they ended", ["channel", "outcome"]
)
ALERTS_UNDELIVERED = Gauge(
    "smm_alerts_undelivered", "Alerts that a channel did not take yet", ["channel"]
)
BACKUP_AGE = Gauge(
    "smm_backup_age_seconds", "Since the newest backup was made; NaN where none ever was"
)
BACKUP_VERIFIED_AGE = Gauge(
    "smm_backup_verified_age_seconds",
    "Since the newest backup was made that was proven to restore; NaN where none ever was",
)
for _unknown in (BACKUP_AGE, BACKUP_VERIFIED_AGE):
    _unknown.set(math.nan)  # until somebody has looked
LOOP_FAILURES = Counter("smm_loop_failures_total", "Failed runs of background loops", ["loop"])

_SILENCES = ("unavailable", "ambiguous")
#: The names of provider accounts by id, as last read: decisions know ids only.
PROVIDER_NAMES: dict[int, str] = {}


def count_movements(cause: str, currency: str, amount: Micros, entries: int = 1) -> None:
    """Count movements of the ledger, once they are committed."""
    LEDGER_ENTRIES.labels(cause, currency).inc(entries)
    LEDGER_MICROS.labels(cause, currency).inc(amount)


@contextmanager
def upstream_call(provider: str, action: str, clock: Callable[[], float]) -> Iterator[None]:
    """Measure one call of an upstream, which the block waits for; what it raises is counted."""
    for kind in _SILENCES:
        # A series that begins at 1 has not grown, to whoever asks how much it grew.
        UPSTREAM_ERRORS.labels(provider, action, kind)
    began = clock()
    try:
        yield
    except Exception as error:
        kind = type(error).__name__.lower() if isinstance(error, ProviderError) else "defect"
        UPSTREAM_ERRORS.labels(provider, action, kind).inc()
        raise
    finally:
        UPSTREAM_SECONDS.labels(provider, action).observe(clock() - began)
