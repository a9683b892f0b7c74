-- Operators who sign in to the console. The seed of a second factor is a sealed secret of its own.
create table operator (
    id int generated always as identity primary key,
    name text not null unique check (name ~ '^[a-z0-9][a-z0-9._-]{0,39}$'),
    role text not null check (role in ('viewer', 'support', 'manager', 'owner')),
    enabled boolean not null default true,
    password text check (password like '$2%'),   -- bcrypt; null until a welcome link was used
    code_step bigint,                     -- time step of the last one-time code; null: no second factor
    created_at timestamptz not null default now(),
    signed_in_at timestamptz
);

-- Browsers that have signed in, or begun to. The cookie's value is not here, only its hash.
create table operator_session (
    id int generated always as identity primary key,
    hash bytea not null unique check (length(hash) = 32),
    operator_id int not null references operator,
    stage text not null check (stage in ('code', 'enrol', 'full')),
    address text,
    agent text not null default '',
    created_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    notice_tone text check (notice_tone in ('good', 'info', 'bad')),
    notice text
);
create index operator_session_operator on operator_session (operator_id);

-- Half an hour without a look ends a session, twelve hours end it anyhow. A password that was right
-- is worth ten minutes to find the phone with the code.
create function is_alive(s operator_session) returns boolean language sql stable as $$
    select case s.stage
           when 'full' then s.seen_at > now() - interval '30 minutes'
                            and s.created_at > now() - interval '12 hours'
           else s.created_at > now() - interval '10 minutes' end
$$;

-- A link that sets a password, once. An operator has one at most.
create table operator_welcome (
    operator_id int primary key references operator,
    hash bytea not null unique check (length(hash) = 32),
    expires_at timestamptz not null
);

-- For whoever has lost the second factor; each opens once.
create table operator_recovery (
    operator_id int not null references operator,
    hash bytea not null check (length(hash) = 32),
    primary key (operator_id, hash)
);

-- The console looks at the orders of the last hour or day. Ids grow with time, so block ranges do.
create index orders_created on orders using brin (created_at) with (pages_per_range = 32);
