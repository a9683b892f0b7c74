-- A service may have several routes: who delivers it is chosen per order, and again when a provider
-- refuses. What an operator says of a service (description, place, step) is ours and survives syncs.

alter table route drop constraint route_pkey;
alter table route
    add column id int generated always as identity primary key,
    add column priority int not null default 100,    -- the lowest is asked first
    add column weight int not null default 1 check (weight > 0),  -- its share among equal priorities
    add column enabled boolean not null default true,
    add column disabled_reason text,
    add constraint route_once unique (service_id, provider_id, upstream_service);
create index route_upstream on route (provider_id, upstream_service);
drop index route_service;

alter table service
    add column description text not null default '',
    add column position int not null default 0,      -- the lowest is listed first
    add column step int not null default 1 check (step > 0),  -- a quantity is a multiple of it
    add column keep_links boolean not null default false,     -- links are sent as they were given
    add column below_cost boolean not null default false;     -- sold below cost on purpose

-- What we expect to pay for an order, in the house currency at the rates of the day; null for
-- orders from before.
alter table orders add column cost bigint check (cost >= 0);
alter type new_order add attribute cost bigint;
