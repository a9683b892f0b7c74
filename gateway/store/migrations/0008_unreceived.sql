-- What blind retries are recognised by. Both tables are small: rows leave within a second or two
-- minutes, and only resellers who want it have links here.

-- Orders whose answer is not known to have reached the client.
create table unreceived (
    reseller_id int not null,
    fingerprint bigint not null,          -- of everything that was ordered
    order_id int not null,
    at timestamptz not null default now(),
    primary key (reseller_id, fingerprint, order_id)
);

-- The newest order of each service and link, for resellers whose active links are refused.
create table active_link (
    reseller_id int not null,
    fingerprint bigint not null,          -- of the service and the link
    order_id int not null,
    primary key (reseller_id, fingerprint)
);
