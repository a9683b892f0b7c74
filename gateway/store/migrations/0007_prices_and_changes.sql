-- Prices follow rules, catalogues are followed by themselves, and who sees a service is ours to say.

-- Panels keep accounts in currencies that are no ISO codes, like USDT.
alter table provider drop constraint provider_currency_check,
    add constraint provider_currency_check check (currency ~ '^[A-Z]{3,5}$');

alter table service alter column rate drop not null;   -- null: the rate follows its price rule

-- cost is what the upstream asks now. While a change of it waits for review, the price is still made
-- from basis, the cost before; the guard against selling below cost always looks at cost.
alter table route add column basis bigint check (basis >= 0);

-- Sold below cost on purpose: what the audit excuses.
alter table orders add column below_cost boolean not null default false;
alter type new_order add attribute below_cost boolean;

-- A rule concerns all that is not named. The one that names most counts: a reseller weighs more than
-- a service, that more than a category, that more than a provider.
create table price_rule (
    id int generated always as identity primary key,
    markup numeric(9, 4) not null check (markup >= 0),            -- percent on the cost
    step bigint check (step > 0 and step % 10 = 0),               -- rates are rounded up to it
    provider_id int references provider,
    category text,
    service_id int references service,
    reseller_id int references reseller,
    constraint price_rule_once unique nulls not distinct
        (provider_id, category, service_id, reseller_id)
);
insert into price_rule (markup) values (25);

-- A service with rows here is for these resellers alone.
create table service_audience (
    service_id int not null references service,
    reseller_id int not null references reseller,
    primary key (service_id, reseller_id)
);

create trigger catalogue_changed after insert or update or delete on price_rule
    for each statement execute function bump_catalogue();
create trigger catalogue_changed after insert or update or delete on service_audience
    for each statement execute function bump_catalogue();

-- What the upstream said of a route's service when that was last taken over.
create table route_seen (
    route_id int primary key references route on delete cascade,
    name text not null,
    rate numeric not null,                -- in the currency of the provider account
    minimum int not null,
    maximum int not null,
    refill boolean not null,
    cancel boolean not null,
    off text                              -- the reason with which a sync switched the route off
);

-- Where each provider's catalogue stands. next_at is also the lease of who is just reading it.
create table catalogue_sync (
    provider_id int primary key references provider,
    next_at timestamptz not null,
    good_at timestamptz,                  -- when it was last taken over
    rows int not null default 0,          -- services that it had then
    known text[] not null default '{}',   -- their ids
    failure text,                         -- why the last try took nothing over
    failed_at timestamptz
);

create table catalogue_change (
    id int generated always as identity primary key,
    provider_id int not null references provider,
    service_id int references service,    -- null for what we do not sell
    route_id int references route on delete set null,
    upstream_service text not null,
    kind text not null check (kind in (
        'price', 'limits', 'renamed', 'vanished', 'returned', 'new', 'type_changed', 'flags',
        'refused')),
    before text,
    after text,
    state text not null check (state in ('applied', 'held', 'approved', 'dismissed')),
    why text,
    at timestamptz not null default now(),
    decided_at timestamptz
);
create index catalogue_change_held on catalogue_change (provider_id) where state = 'held';
create index catalogue_change_route on catalogue_change (route_id, kind, id);
