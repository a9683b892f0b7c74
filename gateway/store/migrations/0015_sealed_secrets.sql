-- Secrets that we must know in plain text (keys at providers, secrets of webhooks, seeds of one-time
-- passwords) are kept sealed: AES-256-GCM under a master key that is not in the database, bound to
-- the row and the name that they belong to. One table for all, so that one job can renew the seals.

create table secret (
    owner text not null check (owner <> ''),   -- the table of what it belongs to
    owner_id bigint not null,
    name text not null check (name <> ''),     -- what it is there
    key_id text,                               -- the master key; null: plain text of before
    sealed bytea not null,                     -- nonce, ciphertext and tag
    -- Another one whenever the secret is another one; a renewed seal keeps it.
    version bigint generated always as identity,
    primary key (owner, owner_id, name)
);

-- What was stored in plain text waits here until `migrate` or `serve`, who have the master key, seal
-- it. A moment later at most, as a rule.
insert into secret (owner, owner_id, name, sealed)
select 'provider', id, 'key', convert_to(key, 'UTF8') from provider where key <> '';
insert into secret (owner, owner_id, name, sealed)
select 'provider', id, 'headers', convert_to(options ->> 'headers', 'UTF8')
  from provider where options ? 'headers';
update provider set options = options - 'headers' where options ? 'headers';
alter table provider drop column key;
