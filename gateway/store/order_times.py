"""Times as order ids: ids grow with time, so that the key of the orders finds a time as well."""

#: The first order that was accepted at a time or later. Ids are leased for ten minutes, so nearby
#: orders may have their ids the other way round: a quarter of an hour is left on either side.
_FIRST_ID = """(with recursive bounds (low, high) as (
        select coalesce(min(id), 1)::bigint, coalesce(max(id), 0)::bigint + 1 from orders
        union all
        select case when later then low else middle + 1 end,
               case when later then middle else high end
          from (select low, high, (low + high) / 2 as middle, coalesce((
                       select created_at >= {0} from orders
                        where id >= (low + high) / 2 order by id limit 1), true) as later
                  from bounds where low < high) halves)
    select low from bounds where low >= high)"""
#: Conditions on an id, for a parameter that is a time: the row's own time is compared besides.
FROM_TIME = _FIRST_ID.format("{0}::timestamptz - interval '15 minutes'")
BEFORE_TIME = _FIRST_ID.format("{0}::timestamptz + interval '15 minutes'")
