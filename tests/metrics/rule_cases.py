"""For each alert the series that must make it fire, and those that must not, minute by minute."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_JOB = 'job="smm-gateway",instance="a:1"'
_P = 'provider="main"'


@dataclass(frozen=True, slots=True)
class Case:
    """``bad`` fires at minute ``fires`` with these labels, and does not at minute ``quiet``.

    Values are in Prometheus's notation, one for each minute. ``well`` never fires.
    """

    bad: Mapping[str, str]
    quiet: int
    fires: int
    well: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)


_PROVIDER = {"provider": "main"}
_INSTANCE = {"instance": "a:1", "job": "smm-gateway"}
_CALLS = f"smm_upstream_seconds_count{{{_JOB},{_P},action="
_ERRORS = f"smm_upstream_errors_total{{{_JOB},{_P},action="
_TIMES = f'smm_upstream_seconds_bucket{{{_JOB},{_P},action="add",le='


def _gauge(name: str, bad: str, well: str, labels: str = "") -> tuple[dict[str, str], ...]:
    series = f"{name}{{{_JOB}{',' if labels else ''}{labels}}}"
    return {series: bad}, {series: well}


def _simple(
    name: str,
    bad: str,
    well: str,
    quiet: int,
    fires: int,
    labels: Mapping[str, str] | None = None,
    *,
    of: str = "",
) -> Case:
    """An alert on one gauge."""
    ill, fine = _gauge(name, bad, well, of)
    return Case(ill, quiet, fires, fine, labels or {})


CASES: dict[str, Case] = {
    "GatewayDown": _simple("up", "1x5 0x20", "1x25", 6, 9, _INSTANCE),
    "WorkerGone": Case(
        {f"smm_workers_ready{{{_JOB}}}": "4x5 3x20", f"smm_workers_wanted{{{_JOB}}}": "4x25"},
        9,
        12,
        {f"smm_workers_ready{{{_JOB}}}": "4x5 3x2 4x20", f"smm_workers_wanted{{{_JOB}}}": "4x28"},
        _INSTANCE,
    ),
    "ErrorRate": Case(
        {
            f'smm_requests_total{{{_JOB},action="add",outcome="answered"}}': "0+98x30",
            f'smm_requests_total{{{_JOB},action="add",outcome="failed"}}': "0+1x30",
            f'smm_requests_total{{{_JOB},action="add",outcome="shed"}}': "0+1x30",
        },
        4,
        12,
        {
            f'smm_requests_total{{{_JOB},action="add",outcome="answered"}}': "0+199x30",
            f'smm_requests_total{{{_JOB},action="add",outcome="failed"}}': "0+1x30",
            f'smm_requests_total{{{_JOB},action="add",outcome="refused"}}': "0+900x30",
        },
    ),
    "SlowAdds": Case(
        {
            f'smm_request_seconds_bucket{{{_JOB},action="add",le="1.0"}}': "0+90x30",
            f'smm_request_seconds_bucket{{{_JOB},action="add",le="5.0"}}': "0+100x30",
            f'smm_request_seconds_bucket{{{_JOB},action="add",le="+Inf"}}': "0+100x30",
        },
        9,
        16,
        {
            f'smm_request_seconds_bucket{{{_JOB},action="add",le="1.0"}}': "0+100x30",
            f'smm_request_seconds_bucket{{{_JOB},action="add",le="+Inf"}}': "0+100x30",
        },
        {"action": "add"},
    ),
    "ProviderDown": Case(
        {
            f'{_CALLS}"add"}}': "0+10x40",
            f'{_ERRORS}"add",kind="unavailable"}}': "0x10 0+10x30",
            f'{_ERRORS}"add",kind="ambiguous"}}': "0x40",
        },
        21,
        27,
        {
            # Refusals are answers.
            f'{_CALLS}"add"}}': "0+10x40",
            f'{_ERRORS}"add",kind="rejected"}}': "0+10x40",
            f'{_ERRORS}"add",kind="unavailable"}}': "0+5x40",
        },
        _PROVIDER,
    ),
    "ProviderSlow": Case(
        {
            f'{_TIMES}"10.0"}}': "0+8x40",
            f'{_TIMES}"30.0"}}': "0+10x40",
            f'{_TIMES}"+Inf"}}': "0+10x40",
        },
        14,
        20,
        {
            f'{_TIMES}"10.0"}}': "0+10x40",
            f'{_TIMES}"30.0"}}': "0+10x40",
            f'{_TIMES}"+Inf"}}': "0+10x40",
        },
        _PROVIDER | {"action": "add"},
    ),
    "ProviderOutOfFunds": _simple("smm_provider_held", "0x5 1x20", "0x25", 6, 8, _PROVIDER, of=_P),
    "ProviderRunsOut": _simple(
        "smm_provider_balance_hours", "7x5 5.5x30", "6.5x30", 14, 17, _PROVIDER, of=_P
    ),
    "UnknownShare": Case(
        {
            f'smm_attempts_total{{{_JOB},{_P},outcome="placed"}}': "0+19x40",
            f'smm_attempts_total{{{_JOB},{_P},outcome="ambiguous"}}': "0+1x40",
        },
        6,
        12,
        {
            # A single lost answer among few orders is no pattern.
            f'smm_attempts_total{{{_JOB},{_P},outcome="placed"}}': "0+1x40",
            f'smm_attempts_total{{{_JOB},{_P},outcome="ambiguous"}}': "0x10 1x30",
        },
        _PROVIDER,
    ),
    "OrdersNeedReview": _simple(
        "smm_open_orders", "0x5 2x30", "0x30", 19, 23, {"state": "review"}, of='state="review"'
    ),
    "StuckOrders": _simple(
        "smm_oldest_order_seconds",
        "3000+60x40",
        "3000x40",
        14,
        17,
        {"state": "queued"},
        of='state="queued"',
    ),
    "OrdersWithheld": Case(
        {f'smm_attempts_total{{{_JOB},{_P},outcome="withheld"}}': "0x5 1x40"},
        9,
        13,
        {f'smm_attempts_total{{{_JOB},{_P},outcome="withheld"}}': "3x40"},
        _PROVIDER,
    ),
    "TrackingLag": Case(
        {
            f'smm_polls_total{{{_JOB},{_P},outcome="failed"}}': "0+1x60",
            f'smm_polls_total{{{_JOB},{_P},outcome="answered"}}': "0+1x5 5x60",
        },
        29,
        33,
        {
            f'smm_polls_total{{{_JOB},{_P},outcome="failed"}}': "0+1x60",
            f'smm_polls_total{{{_JOB},{_P},outcome="answered"}}': "0+1x60",
            f"smm_tracking_lag_seconds{{{_JOB},{_P}}}": "800x60",
        },
        _PROVIDER,
    ),
    "AuditFailure": _simple("smm_audit_violations", "0x5 1x20", "0x25", 4, 6),
    "AuditOld": _simple("smm_audit_age_seconds", "0+60x50", "0+60x20 0+60x20", 34, 38),
    "MarginNegative": Case(
        {
            f"smm_settled_revenue_micros_total{{{_JOB},{_P}}}": "0+90x60",
            f"smm_settled_cost_micros_total{{{_JOB},{_P}}}": "0+100x60",
        },
        14,
        20,
        {
            f"smm_settled_revenue_micros_total{{{_JOB},{_P}}}": "0+110x60",
            f"smm_settled_cost_micros_total{{{_JOB},{_P}}}": "0+100x60",
        },
        _PROVIDER,
    ),
    "ChangesWait": _simple("smm_catalogue_changes_held", "0x5 1x90", "0x5 1x30 0x60", 64, 68),
    "CatalogueOld": _simple(
        "smm_catalogue_age_seconds", "86100+60x40", "0+60x40", 14, 18, _PROVIDER, of=_P
    ),
    "DiskLow": Case(
        {f"smm_disk_free_bytes{{{_JOB}}}": "9x40", f"smm_disk_size_bytes{{{_JOB}}}": "100x40"},
        9,
        12,
        {f"smm_disk_free_bytes{{{_JOB}}}": "11x40", f"smm_disk_size_bytes{{{_JOB}}}": "100x40"},
        _INSTANCE,
    ),
    "BackupTooOld": Case(
        {f"smm_backup_age_seconds{{{_JOB}}}": "107700+60x60"},
        14,
        18,
        {f"smm_backup_age_seconds{{{_JOB}}}": "100000+60x60"},
    ),
    "NoSyncStandby": _simple("smm_database_sync_standbys", "1x5 0x20", "1x25", 6, 8),
    "SpoolNotEmpty": _simple(
        "smm_spool_entries",
        "0x5 3x30",
        "0x5 3x5 0x20",
        14,
        17,
        {"kind": "outcome"},
        of='kind="outcome"',
    ),
    "SpoolQuarantined": _simple(
        "smm_spool_quarantined", "0x5 1x20", "0x25", 5, 8, {"instance": "a:1"}
    ),
    "ValkeyLost": _simple(
        "smm_valkey_lost", "0x5 1x20", "0x5 1x2 0x20", 9, 12, {"user": "limits"}, of='user="limits"'
    ),
    "LoopFailures": _simple(
        "smm_loop_failures_total",
        "0+1x40",
        "0+1x3 3x40",
        8,
        13,
        {"loop": "sweep"},
        of='loop="sweep"',
    ),
    "EventLoopLag": Case(
        {
            f'smm_event_loop_lag_seconds_bucket{{{_JOB},le="0.5"}}': "0+90x40",
            f'smm_event_loop_lag_seconds_bucket{{{_JOB},le="5.0"}}': "0+100x40",
            f'smm_event_loop_lag_seconds_bucket{{{_JOB},le="+Inf"}}': "0+100x40",
        },
        9,
        15,
        {
            f'smm_event_loop_lag_seconds_bucket{{{_JOB},le="0.5"}}': "0+100x40",
            f'smm_event_loop_lag_seconds_bucket{{{_JOB},le="+Inf"}}': "0+100x40",
        },
        {"instance": "a:1"},
    ),
}
