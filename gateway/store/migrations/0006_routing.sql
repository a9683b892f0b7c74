-- What the choice of a route needs to know: what an order was refused for and where, whether an
-- operator has paused an account, and what the account holds upstream.

-- Whom a refusal concerned: the order or service (never ask this route again), the account, or
-- nobody for long. Null for attempts that were not refused, and for those from before.
alter table attempt add column refusal text
    check (refusal in ('order', 'service', 'account', 'temporary'));

alter table provider
    add column paused_reason text,        -- an operator's: nothing is sent while it is set
    add column balance bigint,            -- in the account's currency, as last read
    add column balance_at timestamptz;
