-- The core of the gateway: resellers and their money, services, orders, attempts.
-- Every amount of money is a whole number of micro-units (10^-6 of the currency) in a bigint.
-- Nothing holds a foreign key into orders, attempt or order_event, and every unique index on them
-- contains the order id: ranges of finished orders can be detached.

-- One row: counters that tell a process that what it has cached is old.
create table version (
    single boolean primary key default true check (single),
    catalogue bigint not null default 1
);
insert into version default values;

create table reseller (
    id int generated always as identity primary key,
    name text not null unique check (name <> ''),
    email text not null check (email <> ''),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    suspended boolean not null default false,
    created_at timestamptz not null default now()
);

-- Narrow and apart from reseller, because every order updates it. Only the ledger writes here.
create table balance (
    reseller_id int primary key references reseller,
    amount bigint not null default 0,
    floor bigint not null default 0,      -- a purchase cannot go below it
    entries bigint not null default 0     -- number of ledger entries, the last one's position
) with (fillfactor = 50);

-- The ledger: one row is one movement source > destination, so it sums to zero by construction.
-- 'reseller' stands for the row's reseller; others are 'sales' and 'cash:<method>'.
create table entry (
    reseller_id int not null references reseller,
    position bigint not null,             -- 1, 2, 3 ... within the reseller's statement
    source text not null,
    destination text not null,
    amount bigint not null check (amount > 0),
    cause text not null,
    order_id int,
    step bigint not null default 0,       -- of a refund: what had been refunded before it
    balance_after bigint not null,
    note text,
    at timestamptz not null default now(),
    primary key (reseller_id, position),
    constraint entry_touches_reseller check ((source = 'reseller') <> (destination = 'reseller')),
    constraint entry_cause check (
        (cause = 'charge' and source = 'reseller' and destination = 'sales' and order_id is not null)
        or (cause = 'refund' and source = 'sales' and destination = 'reseller' and order_id is not null)
        or (cause = 'topup' and source like 'cash:%' and destination = 'reseller' and order_id is null)
    )
);
create unique index entry_once on entry (order_id, cause, step) where order_id is not null;

-- Rows of these types are written many at once, an array of them being one parameter: cheaper on
-- both sides than an array for each column.
create type new_entry as (
    reseller_id int, position bigint, source text, destination text, amount bigint, cause text,
    order_id int, step bigint, balance_after bigint, note text);

-- Entries with the sign that they have for the reseller.
create view statement as
    select *, case when destination = 'reseller' then amount else -amount end as signed from entry;

create table api_key (
    id int generated always as identity primary key,
    reseller_id int not null references reseller,
    mac bytea not null unique,            -- HMAC-SHA256 of the key under the pepper; no key is kept
    hint text not null,                   -- the first characters, to tell keys apart
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);

create table provider (
    id int generated always as identity primary key,
    name text not null unique check (name <> ''),
    kind text not null,
    url text not null,
    key text not null,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    options jsonb not null default '{}',
    held_until timestamptz,               -- set aside: no funds, bad key; nothing is sent until then
    held_reason text,
    holds int not null default 0,         -- refusals of the account in a row
    created_at timestamptz not null default now()
);

-- What we sell. Ids are at most 999999 because clients validate them so.
create table service (
    id int generated always as identity primary key check (id between 1 and 999999),
    name text not null check (name <> ''),
    type text not null,
    category text not null,
    rate bigint not null check (rate > 0 and rate % 10 = 0),
    minimum int not null check (minimum > 0),
    maximum int not null,
    dripfeed boolean not null default false,
    refill boolean not null default false,
    cancel boolean not null default false,
    enabled boolean not null,
    disabled_reason text,
    created_at timestamptz not null default now(),
    constraint service_range check (maximum >= minimum)
);

-- Who can deliver a service. cost is the upstream's rate per 1000, in the house currency.
create table route (
    service_id int not null references service,
    provider_id int not null references provider,
    upstream_service text not null,
    cost bigint not null check (cost >= 0),
    primary key (provider_id, upstream_service)
);
create index route_service on route (service_id);

create function bump_catalogue() returns trigger language plpgsql as $$
begin
    update version set catalogue = catalogue + 1;
    return null;
end $$;
create trigger catalogue_changed after insert or update or delete on service
    for each statement execute function bump_catalogue();
create trigger catalogue_changed after insert or update or delete on route
    for each statement execute function bump_catalogue();

-- Ids are leased in blocks, so that an id is known before its transaction begins.
create sequence order_id as int increment by 64 minvalue 1 start 1;

create table orders (
    id int not null,
    reseller_id int not null,
    service_id int not null,
    service_type text not null,
    provider_id int not null,             -- the planned route, the placed one once upstream_id is set
    upstream_service text not null,
    upstream_id text,
    state text not null default 'queued' check (state in (
        'queued', 'sending', 'unknown', 'review', 'placed', 'in_progress',
        'completed', 'partial', 'canceled', 'failed')),
    version int not null default 0,       -- number of moves; the row itself is move 0
    attempts int not null default 0,
    link text not null,
    quantity int not null check (quantity > 0),
    parameters jsonb,                     -- what the service type takes besides link and quantity
    rate bigint not null check (rate > 0),
    charge bigint not null check (charge > 0),
    refunded bigint not null default 0,
    currency text not null,
    start_count bigint,
    remains int,                          -- as the upstream last reported it
    -- what the reseller is told; final words stay as told, whatever is corrected later
    wire_status text not null default 'Pending' check (wire_status in (
        'Pending', 'Processing', 'In progress', 'Completed', 'Partial', 'Canceled')),
    wire_charge bigint not null,
    wire_remains int not null,
    request_id text not null,
    next_at timestamptz not null default now(),   -- when it needs to be looked at: send, lease end, poll
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    missing_since timestamptz,            -- the upstream says since then that it does not have it
    primary key (id),
    constraint order_refund check (refunded between 0 and charge)
) partition by range (id);
create type new_order as (
    id int, reseller_id int, service_id int, service_type text, provider_id int,
    upstream_service text, link text, quantity int, parameters jsonb, rate bigint, charge bigint,
    currency text, request_id text);
-- Every open order is in one of these, in the order in which it is looked for; finished ones leave.
create index orders_queued on orders (provider_id, next_at) where state = 'queued';
create index orders_sending on orders (next_at) where state = 'sending';
create index orders_polled on orders (provider_id, next_at)
    where state in ('placed', 'in_progress');
create index orders_doubtful on orders (state) where state in ('unknown', 'review');

-- Finished orders that an upstream may still correct; 'infinity' ends the watch.
create index orders_correctable on orders (provider_id, next_at)
    where state in ('completed', 'partial') and next_at < 'infinity';

create table attempt (
    order_id int not null,
    number int not null,
    provider_id int not null,
    upstream_service text not null,
    state text not null default 'intent' check (state in (
        'intent', 'placed', 'unknown', 'rejected', 'not_sent')),
    upstream_id text,
    reason text,
    http_status int,
    body text,                            -- the beginning of the answer, secrets masked
    elapsed_ms int,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    primary key (order_id, number)
) partition by range (order_id);
-- The guard against a second delivery: while an attempt may live, no other can be recorded.
create unique index attempt_one_live on attempt (order_id)
    where state in ('intent', 'placed', 'unknown');

create table order_event (
    order_id int not null,
    version int not null,
    from_state text not null,
    to_state text not null,
    cause text not null,
    at timestamptz not null default now(),
    primary key (order_id, version)
) partition by range (order_id);

-- One upstream order belongs to one of ours. Apart from attempt, because the pair must be unique
-- over all ranges of order ids.
create table placement (
    provider_id int not null,
    upstream_id text not null,
    order_id int not null,
    primary key (provider_id, upstream_id)
);

-- A reseller's own names for orders, unique for the order's whole life.
create table external_id (
    reseller_id int not null,
    external_id text not null,
    order_id int not null,
    primary key (reseller_id, external_id)
);
create index external_id_order on external_id (order_id);

-- Ledger and history are append-only, for every role and every program.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger append_only before update or delete on entry
    for each row execute function refuse_change();
create trigger append_only before update or delete on order_event
    for each row execute function refuse_change();
create trigger no_truncate before truncate on entry
    for each statement execute function refuse_change();
create trigger no_truncate before truncate on order_event
    for each statement execute function refuse_change();

-- Makes the ranges of order ids up to and beyond the ids handed out: always two ahead.
-- A range is made apart and then attached, because "create table ... partition of" would wait for
-- every reader of the whole table, and all other readers would wait behind it. Attaching ties the
-- copied indexes to the whole table's and brings its row triggers.
create function make_order_ranges() returns int language plpgsql as $$
declare
    width constant int := 5000000;
    newest bigint;
    lower bigint;
    made int := 0;
    base text;
    range text;
begin
    perform pg_advisory_xact_lock(hashtext('make_order_ranges'));
    select last_value into newest from order_id;
    lower := newest / width * width;      -- older ranges may have been detached: leave them alone
    while lower <= least(newest + 2 * width, 2147483647) loop
        foreach base in array array['orders', 'attempt', 'order_event'] loop
            range := base || '_' || lower / width;
            if to_regclass(format('%I', range)) is null then
                execute format('create table %I (like %I including all)', range, base);
                execute format('alter table %I attach partition %I for values from (%s) to (%s)',
                    base, range, lower, least(lower + width, 2147483647));
                if base = 'order_event' then      -- a range has its own door to truncate
                    execute format('create trigger no_truncate before truncate on %I
                        for each statement execute function refuse_change()', range);
                end if;
                made := made + 1;
            end if;
        end loop;
        lower := lower + width;
    end loop;
    return made;
end $$;
select make_order_ranges();
