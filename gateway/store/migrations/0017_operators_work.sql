-- What operators do beside reading: stop ordering, look for orders, correct balances, give long work
-- to the background.

-- Who may not order now, and why. A row without a reseller stops all.
create table ordering_stop (
    reseller_id int references reseller,
    reason text not null check (reason <> ''),
    actor text not null,
    at timestamptz not null default now(),
    constraint ordering_stop_once unique nulls not distinct (reseller_id)
);

-- Orders as they are looked for. The time is found through the ids, which grow with it.
create index orders_reseller on orders (reseller_id, id);
-- Most orders are completed: those that ended otherwise are few.
create index orders_ended_oddly on orders (state, id)
    where state in ('partial', 'canceled', 'failed');
-- Looked for seldom, and written all the time: a summary of each part of the table is enough.
create index orders_looked_for on orders using brin (link text_bloom_ops, provider_id int4_bloom_ops)
    with (pages_per_range = 32, autosummarize = on);
create index external_id_text on external_id using hash (external_id);

-- Reports read the ledger by time, in which it grows.
create index entry_at on entry using brin (at) with (pages_per_range = 32, autosummarize = on);

-- A correction is an operator's, up or down, with a reason. Rows from before were held to less.
alter table entry drop constraint entry_cause;
alter table entry add constraint entry_cause check (
    (cause = 'charge' and source = 'reseller' and destination = 'sales' and order_id is not null)
    or (cause = 'refund' and source = 'sales' and destination = 'reseller' and order_id is not null)
    or (cause = 'topup' and source like 'cash:%' and destination = 'reseller' and order_id is null)
    or (cause = 'correction' and 'corrections' in (source, destination) and order_id is null
        and note is not null)
) not valid;

-- Money that waits for a second operator's word.
create table confirmation (
    id int generated always as identity primary key,
    at timestamptz not null default now(),
    reseller_id int not null references reseller,
    cause text not null check (cause in ('topup', 'correction')),
    amount bigint not null check (amount <> 0),   -- for the reseller; below 0 it is taken
    reason text not null,
    asked_by text not null,
    request text unique,                  -- as in operator_action
    state text not null default 'waiting' check (state in ('waiting', 'confirmed', 'declined')),
    decided_by text check (decided_by <> asked_by or state <> 'confirmed'),
    decided_at timestamptz
);
create index confirmation_waiting on confirmation (id) where state = 'waiting';

-- What support staff see in place of a provider's name.
alter table provider add column alias text unique check (alias <> '');

-- Long work, done by whichever worker takes it. lease_until is when another one may.
create table background_job (
    id int generated always as identity primary key,
    kind text not null,
    arguments jsonb not null,
    actor text not null,
    role text not null,
    address text,
    reason text,
    request text not null unique,
    state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed')),
    done int not null default 0,
    total int,
    result jsonb,
    error text,
    tries int not null default 0,
    lease_until timestamptz not null default now(),
    at timestamptz not null default now(),
    started_at timestamptz,
    ended_at timestamptz
);
create index background_job_open on background_job (lease_until) where state in ('waiting', 'running');
