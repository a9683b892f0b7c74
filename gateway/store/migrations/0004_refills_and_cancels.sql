-- What resellers may still ask of an order that was placed: a refill, or to cancel it.
-- Nothing holds a foreign key into orders: ranges of finished orders can be detached.

alter table service add column refill_days int     -- how long after its end; null is no limit
    constraint service_refill_days check (refill_days > 0);

alter table orders add column ended_at timestamptz;  -- when its end was first told
update orders set ended_at = updated_at
 where state in ('completed', 'partial', 'canceled', 'failed');

create table refill (
    id int generated always as identity primary key,
    order_id int not null,
    reseller_id int not null,
    provider_id int not null,
    upstream_order text not null,         -- the order as its upstream calls it
    state text not null default 'requested' check (state in (
        'requested', 'sending', 'unknown', 'placed', 'in_progress',
        'completed', 'rejected', 'failed')),
    upstream_id text,
    reason text,                          -- the upstream's, or an operator's
    tries int not null default 0,         -- calls that may have reached the upstream, and others
    next_at timestamptz not null default now(),   -- when to look at it: send, lease end, poll
    requested_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    ended_at timestamptz
);
-- The guard against two refills of one order at the same time.
create unique index refill_one_open on refill (order_id)
    where state in ('requested', 'sending', 'unknown', 'placed', 'in_progress');
create index refill_of_order on refill (order_id, requested_at);
create index refill_requested on refill (provider_id, next_at) where state = 'requested';
create index refill_sending on refill (next_at) where state = 'sending';
create index refill_polled on refill (provider_id, next_at) where state in ('placed', 'in_progress');
create index refill_unknown on refill (updated_at) where state = 'unknown';

-- The newest request to cancel an order. Money moves only with the order's own state.
create table cancellation (
    order_id int primary key,
    state text not null default 'requested' check (state in (
        'requested', 'taken', 'refused', 'over')),
    reason text,
    tries int not null default 0,
    next_at timestamptz not null default now(),
    requested_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index cancellation_requested on cancellation (next_at) where state = 'requested';
