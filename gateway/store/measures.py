"""What is measured of provider accounts from time to time, to be shown."""

from typing import NamedTuple

from gateway.store.connection import Connection
from schemas.money import Micros


class AccountMeasures(NamedTuple):
    """What is measured of one account; None where nothing is known.

    ``lag`` is for how many seconds the order that waits longest has been due to be asked for. The
    account holds ``balance`` and has ``spent`` so much in ``hours`` of the last day.
    """

    name: str
    lag: float
    balance: Micros | None
    spent: Micros | None
    hours: float | None


async def list_account_measures(conn: Connection) -> list[AccountMeasures]:
    """The measures of all accounts; deposits between two readings are no spending."""
    rows = await conn.fetch(
        """with step as (
               select r.provider_id, r.at,
                      lag(r.amount) over earlier - r.amount as spent
                 from balance_reading r
                 join provider p on p.id = r.provider_id and p.currency = r.currency
                where r.at > now() - interval '1 day'
               window earlier as (partition by r.provider_id order by r.at)),
           pace as (
               select provider_id, sum(greatest(spent, 0))::bigint as spent,
                      extract(epoch from max(at) - min(at))::float8 / 3600 as hours
                 from step group by provider_id)
           select p.name, greatest(0, coalesce(extract(epoch from now() - o.next_at), 0))::float8,
                  p.balance, pace.spent, pace.hours
             from provider p
             left join pace on pace.provider_id = p.id
             left join lateral (
                  select next_at from orders
                   where provider_id = p.id and state in ('placed', 'in_progress')
                   order by next_at limit 1) o on true
            order by p.id"""
    )
    return [AccountMeasures(*row) for row in rows]
