-- What is left of each account's budget, for all processes together: token buckets on the clock of
-- this database. A claim locks the row of its account, so that nobody else claims there meanwhile.
create table budget (
    provider_id int not null references provider,
    calls text not null check (calls in ('adds', 'reads')),
    tokens numeric not null default 'infinity',   -- below 0 what was spent ahead is waited for
    counted_at timestamptz not null default now(),
    primary key (provider_id, calls)
) with (fillfactor = 50);
insert into budget (provider_id, calls)
select id, calls from provider cross join unnest(array['adds', 'reads']) as calls;

-- The tokens of a bucket by now, at so many a minute and at most ``burst``.
create function tokens_now(tokens numeric, counted_at timestamptz, per_minute int, burst int)
    returns numeric language sql volatile as $$
    select least(burst, tokens + greatest(
        0, extract(epoch from clock_timestamp() - counted_at)) * per_minute / 60)
$$;

-- A claim counts what its account has in flight.
drop index orders_sending;
create index orders_sending on orders (provider_id, next_at) where state = 'sending';

-- When the balance of an account is read next, by whichever process.
alter table provider add column balance_due_at timestamptz not null default 'epoch';
