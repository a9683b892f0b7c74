"""The guards of the database itself."""

from gateway.store.checks.check import Check

GUARDS: tuple[Check, ...] = (
    Check(
        "no_floats",
        "no column anywhere holds floating point numbers",
        """select table_name || '.' || column_name from information_schema.columns
            where table_schema = current_schema()
              and data_type in ('real', 'double precision', 'money')""",
    ),
    Check(
        "append_only_guards",
        "the triggers that keep ledger and history append-only are on",
        """select guarded || ' ' || g
             from (select 'entry'::regclass as guarded union all select 'order_event'::regclass
                   union all select inhrelid::regclass from pg_inherits
                    where inhparent = 'order_event'::regclass) t,
                  unnest(array['append_only', 'no_truncate']) g
            where not exists (
                select 1 from pg_trigger where tgname = g and tgrelid = guarded
                   and tgenabled in ('O', 'A'))""",
    ),
)
