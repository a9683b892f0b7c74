-- Orders that are delivered in parts: drip-feeds, whose runs we make ourselves, and subscriptions,
-- whose posts the upstream makes. The parent holds the whole charge; each part is an order of its
-- own, paid on the parent, with a share of that charge.
alter table orders add column parent_id int;

alter table orders drop constraint orders_state_check;
alter table orders add constraint orders_state_check check (state in (
    'scheduled', 'queued', 'sending', 'unknown', 'review', 'placed', 'in_progress',
    'completed', 'partial', 'canceled', 'failed'));
-- The share of a tiny charge may be nothing.
alter table orders drop constraint orders_charge_check;
alter table orders add constraint orders_charge_check check (
    charge > 0 or (charge = 0 and parent_id is not null));

create index orders_scheduled on orders (next_at) where state = 'scheduled';
-- Open parts by link: a drip-feed waits while another one works on its link.
create index orders_open_parts on orders using hash (link)
    where parent_id is not null
      and state in ('queued', 'sending', 'unknown', 'review', 'placed', 'in_progress');

-- How a parent is delivered: in how many runs (or posts), and when the next one is due.
create table schedule (
    order_id int primary key,
    runs int not null check (runs > 0),
    interval_minutes int check (interval_minutes > 0),  -- null: the upstream makes the parts
    next_run_at timestamptz               -- null: we make no further run
);

-- Which order is which part of its parent. Apart from orders, because the pair must be unique over
-- all ranges of order ids.
create table run (
    parent_id int not null,
    number int not null check (number > 0),
    order_id int not null unique,
    primary key (parent_id, number)
);

alter type new_order add attribute runs int;
alter type new_order add attribute interval_minutes int;

-- What can be delivered in runs is offered so from now on.
update service set dripfeed = true where type in ('Default', 'Web Traffic');
