-- What decides about attempts of which nobody knows whether they were accepted.

-- 'abandoned': given up by an operator who paid the money back; it may run upstream, at our cost.
alter table attempt drop constraint attempt_state_check;
alter table attempt add constraint attempt_state_check check (state in (
    'intent', 'placed', 'unknown', 'rejected', 'not_sent', 'abandoned'));

-- What happened at a provider within a time: both tables grow in the order of these columns, so
-- that a summary of each part of the table is index enough, and costs next to nothing to keep.
create index attempt_started on attempt using brin (started_at)
    with (pages_per_range = 32, autosummarize = on);
create index order_event_at on order_event using brin (at)
    with (pages_per_range = 32, autosummarize = on);

-- What an account held, each time that it was asked; kept for some days.
create table balance_reading (
    provider_id int not null,
    asked_at timestamptz not null,        -- the balance was true at a moment between
    at timestamptz not null,              -- these two
    amount bigint not null,               -- in micro-units of
    currency text not null,
    primary key (provider_id, at)
);

-- What the last look at an order in doubt found out.
create table reconciliation (
    order_id int primary key,
    looks int not null,
    verdict text not null,
    evidence jsonb not null,
    first_at timestamptz not null default now(),
    looked_at timestamptz not null default now()
);

-- What operators decided about orders in doubt or in review, and why.
create table resolution (
    order_id int not null,
    version int not null,                 -- the move of the order's history that it made
    decision text not null,
    upstream_id text,
    reason text not null check (reason <> ''),
    at timestamptz not null default now(),
    primary key (order_id, version)
);
