-- What a key may do, from where and until when; and what each reseller's account allows.

alter table api_key
    add column scope text not null default 'order' check (scope in ('read', 'order')),
    add column networks cidr[] not null default '{}',   -- where it may be used; empty: anywhere
    add column expires_at timestamptz;                  -- refused from then on

alter table reseller
    add column suspended_reason text,
    -- requests a second for each key; null: the default of the settings, 0: no limit
    add column request_limit int check (request_limit between 0 and 1000000),
    add column duplicates text not null default 'safe_retry' check (duplicates in (
        'safe_retry', 'reject_active_link', 'allow')),
    add column text_ids boolean not null default false,  -- service ids as text in `services`
    add column post_only boolean not null default false,
    add constraint reseller_suspended check (suspended or suspended_reason is null);
