-- What operators did, from the console or the command line, and why. Rows are added, never changed.
create table operator_action (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    request text unique,                  -- the form or the call that asked for it, which acts once
    actor text not null check (actor <> ''),
    role text not null check (role in ('viewer', 'support', 'manager', 'owner')),
    address text,                         -- of a console's client
    action text not null check (action ~ '^[a-z_]+(\.[a-z_]+)+$'),
    subject text not null,                -- what kind of thing it was done to,
    subject_id text not null,             -- and which
    reason text check (reason <> ''),
    before jsonb not null default '{}',   -- what it was, in the words of a page or a command;
    after jsonb not null default '{}'     -- never a secret
);
create index operator_action_subject on operator_action (subject, subject_id, id);
create index operator_action_at on operator_action using brin (at);
create trigger append_only before update or delete on operator_action
    for each row execute function refuse_change();
create trigger no_truncate before truncate on operator_action
    for each statement execute function refuse_change();
