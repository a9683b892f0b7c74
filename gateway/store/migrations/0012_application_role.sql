-- The application may run as a role of its own, which owns nothing and cannot change what must not
-- change. Roles that were given rights are noted, so that each migration gives them the rights to
-- what it adds.

create table application_role (name name primary key);

-- Ranges of order ids are made while the application runs, which may create nothing itself. The
-- search path is fixed, with temporary tables last: nobody can slip in a table of another's making.
do $$
begin
    execute format('alter function make_order_ranges() security definer set search_path = %I, pg_temp',
        current_schema());
end $$;
revoke execute on function make_order_ranges() from public;

-- Gives a role the rights that the application needs, and takes away all others that it was given
-- on what is ours. Ranges get none: who goes through the whole table needs its rights alone.
create function grant_application(
    role name, read_only name[], append_only name[], kept name[], callable regprocedure[]
) returns void language plpgsql as $$
declare
    home constant name := current_schema();
    found record;
    rights text;
begin
    execute format('grant connect on database %I to %I', current_database(), role);
    execute format('revoke temporary on database %I from public', current_database());
    execute format('revoke create on schema %I from public', home);
    execute format('revoke all on schema %I from %I', home, role);
    execute format('grant usage on schema %I to %I', home, role);
    execute format('revoke all on all tables in schema %I from %I', home, role);
    execute format('grant usage, select on all sequences in schema %I to %I', home, role);
    for found in
        select relname, relkind from pg_class
         where relnamespace = home::regnamespace and relkind in ('r', 'p', 'v')
           and not relispartition and pg_has_role(relowner, 'usage')
    loop
        rights := case
            when found.relkind = 'v' or found.relname = any(read_only) then 'select'
            when found.relname = any(append_only) then 'select, insert'
            when found.relname = any(kept) then 'select, insert, update'
            else 'select, insert, update, delete' end;
        execute format('grant %s on %I.%I to %I', rights, home, found.relname, role);
    end loop;
    for found in select unnest(callable) as call loop
        execute format('grant execute on function %s to %I', found.call, role);
    end loop;
end $$;
revoke execute on function grant_application from public;
