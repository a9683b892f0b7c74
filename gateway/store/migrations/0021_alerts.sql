-- What the gateway tells operators of by itself: trouble that lasts, and the facts to see it by.

-- One row: when somebody last looked whether there is trouble, whichever process it was.
create table alert_watch (
    single boolean primary key default true check (single),
    looked_at timestamptz not null default 'epoch'
);
insert into alert_watch default values;

-- Trouble that is there now, or was a moment ago.
create table alert (
    kind text not null,
    subject text not null,                -- which provider; '' where there is one of a kind
    summary text not null,                -- as it was last seen
    since timestamptz not null default now(),
    told_at timestamptz,                  -- operators were told then; null while it may pass by itself
    gone_at timestamptz,                  -- not seen since then; null while it is there
    primary key (kind, subject)
);

-- What was not yet taken by its channel. A newer message about the same trouble replaces the older.
create table alert_message (
    id text not null unique,              -- the receiver's means to know a repetition
    channel text not null,
    kind text not null,
    subject text not null,
    event text not null check (event in ('open', 'still_open', 'over')),
    summary text not null,
    since timestamptz not null,
    at timestamptz not null default now(),
    tries int not null default 0,
    next_at timestamptz not null default now(),
    failure text,                         -- how the last try ended
    primary key (channel, kind, subject)
);

-- Processes that run, by their own word; one that stops takes its row away.
create table process (
    id text primary key,
    role text not null,
    host text not null,
    pid int not null,
    version text not null,
    spool_entries int not null,           -- what it could not tell the database
    started_at timestamptz not null default now(),
    beat_at timestamptz not null default now()
);

-- Backups that `backup create` made, by the server's time at their end.
create table backup (
    finished_at timestamptz primary key,
    path text not null,
    bytes bigint not null,
    verified_at timestamptz               -- `backup verify` proved that it restores
);

-- Attempts that an upstream took although they were decided otherwise.
create table contradiction (
    order_id int not null,
    attempt int not null,
    provider_id int not null,
    upstream_id text not null,
    at timestamptz not null default now(),
    primary key (order_id, attempt, upstream_id)
);
create index contradiction_at on contradiction (at);

-- The account could not be asked for its balance since then; null while it answers.
alter table provider
    add column unanswered_since timestamptz,
    add column unanswered_reason text;
