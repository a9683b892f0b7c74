-- What processes and jobs say of themselves, so that neither is given up, or held for well, too soon.

-- Files in the quarantine beside the spool: a defect keeps them from the database.
alter table process add column quarantined int not null default 0;
-- Which folder the spool is in, by the name in it: whoever has the same one takes over what a process
-- that died has left there.
alter table process add column spool text not null default '';

-- Who is still to get a message that others have got; null: everybody.
alter table alert_message add column recipients text[];

-- How far a job had come when a worker took it up last, and how many in a row came no further.
alter table background_job
    add column reached int not null default 0,
    add column barren int not null default 0;

-- Each part of the table is summed up once it is filled; else the newest orders are read for every
-- time that is looked for. Made again: what is set on the whole index alone comes to later ranges.
drop index orders_created;
create index orders_created on orders using brin (created_at)
    with (pages_per_range = 32, autosummarize = on);
