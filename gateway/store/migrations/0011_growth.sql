-- Ranges of finished orders are detached, and the audit is repeated in the background.

-- What was in a range when it was detached. The ledger keeps the entries of its orders for ever;
-- they are proven against these notes, so the detached tables may be dropped.
create table detached_range (
    lower int primary key,                -- the first id, and
    upper bigint not null,                -- the first one beyond
    orders bigint not null,
    attempts bigint not null,
    events bigint not null,
    last_version int not null,            -- the most moves that one of the orders had made
    detached_at timestamptz not null default now()
);
create table detached_sum (
    lower int not null references detached_range,
    reseller_id int not null references reseller,
    currency text not null,
    orders bigint not null,
    charged bigint not null,              -- of orders that are no parts of others
    refunded bigint not null,
    entries bigint not null,
    digest numeric not null,              -- over order, cause, step and amount of every entry
    primary key (lower, reseller_id)
);
create trigger append_only before update or delete on detached_range
    for each row execute function refuse_change();
create trigger append_only before update or delete on detached_sum
    for each row execute function refuse_change();
create trigger no_truncate before truncate on detached_range
    for each statement execute function refuse_change();
create trigger no_truncate before truncate on detached_sum
    for each statement execute function refuse_change();

-- Up to which entry each reseller's statement was audited, and the balance after that entry.
create table audit_mark (
    reseller_id int primary key references reseller,
    position bigint not null,
    balance bigint not null
);

-- One row: where the watching audit stands, and what its last run found.
create table audit_watch (
    single boolean primary key default true check (single),
    checked int[] not null default '{}',  -- orders to look at again: open, or found broken
    swept_to int not null default 0,      -- old orders are gone through again up to this id,
    swept_reseller int not null default 0,    -- and old entries up to this one
    swept_position bigint not null default 0,
    ran_at timestamptz,
    elapsed_ms int not null default 0,
    broken int not null default 0,
    warnings int not null default 0,
    behind boolean not null default false -- there was more than one run may look at
);
insert into audit_watch default values;

-- Locks what is partitioned by ranges, or nothing: whoever waits for a lock on a whole table has
-- all others wait behind it, so that must be short. A failed try gives its locks back.
create function lock_ranged_tables(wait_ms int) returns boolean language plpgsql as $$
begin
    perform set_config('lock_timeout', wait_ms || 'ms', true);
    lock table only orders in access exclusive mode;
    lock table only attempt in access exclusive mode;
    lock table only order_event in access exclusive mode;
    return true;
exception when lock_not_available then
    return false;
end $$;
