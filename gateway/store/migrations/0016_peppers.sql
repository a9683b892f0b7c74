-- The pepper of API keys can be exchanged while keys are in use: a key that is presented is known by
-- its MAC under the new pepper from then on, and keeps the one before, by which processes that have
-- not heard of the new pepper find it.

alter table api_key
    add column mac_before bytea unique,
    add column pepper_id text;              -- the pepper of mac; null: not noted yet
