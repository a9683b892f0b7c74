"""Alerts: what is open, what is not yet delivered, and who looks next."""

from collections.abc import Collection, Sequence
from datetime import datetime

from gateway.store.connection import Connection, Record, columns
from schemas.alerts import Alert, AlertEvent, AlertKind, Channel, Message, Undelivered


async def claim_look(conn: Connection, interval_ms: int) -> datetime | None:
    """Be the one who looks now, until the transaction ends; the time of the database.

    None when it is not due, or somebody else is just at it.
    """
    found: datetime | None = await conn.fetchval(
        """update alert_watch set looked_at = clock_timestamp()
            where single = (select single from alert_watch
                             where looked_at <= clock_timestamp() - $1 * interval '1 ms'
                               for update skip locked)
           returning looked_at""",
        interval_ms,
    )
    return found


async def list_alerts(conn: Connection) -> list[Alert]:
    """All trouble that is known, whether operators were told of it or not yet."""
    rows = await conn.fetch(
        "select kind, subject, summary, since, told_at, gone_at from alert order by since, kind"
    )
    return [Alert(AlertKind(row["kind"]), *row[1:]) for row in rows]


async def insert_alerts(conn: Connection, alerts: Sequence[Alert]) -> None:
    """Keep trouble as it is now, in place of what was known of it."""
    await conn.execute(
        """insert into alert (kind, subject, summary, since, told_at, gone_at)
           select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],
                                $5::timestamptz[], $6::timestamptz[])
           on conflict (kind, subject) do update
              set summary = excluded.summary, since = excluded.since,
                  told_at = excluded.told_at, gone_at = excluded.gone_at""",
        *columns(alerts, "kind", "subject", "summary", "since", "told_at", "gone_at"),
    )


async def delete_alerts(conn: Connection, ended: Sequence[Alert]) -> None:
    """Forget trouble that is over."""
    await conn.execute(
        """delete from alert using unnest($1::text[], $2::text[]) as e(kind, subject)
            where alert.kind = e.kind and alert.subject = e.subject""",
        *columns(ended, "kind", "subject"),
    )


async def insert_messages(
    conn: Connection, channels: Collection[Channel], messages: Sequence[Message]
) -> None:
    """Give messages to each of these channels.

    What a channel has not yet taken about the same trouble is replaced, and comes when it was due.
    """
    await conn.execute(
        """insert into alert_message (id, channel, kind, subject, event, summary, since, at)
           select m.id || '_' || c, c, kind, subject, event, summary, since, at
             from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                         $7::timestamptz[], $8::timestamptz[])
                  as m(id, kind, subject, event, summary, since, at)
            cross join unnest($1::text[]) as c
           on conflict (channel, kind, subject) do update
              set id = excluded.id, event = excluded.event, summary = excluded.summary,
                  since = excluded.since, at = excluded.at, recipients = null""",
        list(channels),
        *columns(messages, "id", "kind", "subject", "event", "summary", "since", "at"),
    )


async def claim_message(conn: Connection, channel: Channel, lease_ms: int) -> Message | None:
    """The next message that is due at a channel; nobody else takes it for ``lease_ms``."""
    row = await conn.fetchrow(
        """update alert_message set next_at = clock_timestamp() + $2 * interval '1 ms',
                  tries = tries + 1
            where id = (select id from alert_message
                         where channel = $1 and next_at <= clock_timestamp()
                         order by at, id limit 1 for update skip locked)
           returning id, kind, subject, event, summary, since, at, tries, recipients""",
        channel,
        lease_ms,
    )
    if row is None:
        return None
    return Message(row[0], AlertKind(row[1]), row[2], AlertEvent(row[3]), *row[4:])


async def delete_message(conn: Connection, message_id: str) -> None:
    """A message was taken by its channel. One that has replaced it meanwhile stays."""
    await conn.execute("delete from alert_message where id = $1", message_id)


async def set_channel_failed(
    conn: Connection, channel: Channel, message_id: str, failure: str, pause_ms: int
) -> None:
    """A channel did not take a message: nothing is sent there for ``pause_ms``."""
    await conn.execute(
        """update alert_message
              set failure = case when id = $2 then $3 else failure end,
                  next_at = case when id = $2 then clock_timestamp() + $4 * interval '1 ms'
                       else greatest(next_at, clock_timestamp() + $4 * interval '1 ms') end
            where channel = $1""",
        channel,
        message_id,
        failure,
        pause_ms,
    )


async def set_message_left(
    conn: Connection, message_id: str, recipients: Sequence[str], failure: str, pause_ms: int
) -> None:
    """Some have got a message, and these have not; nothing else of the channel waits for them."""
    await conn.execute(
        """update alert_message
              set recipients = $2, failure = $3,
                  next_at = clock_timestamp() + $4 * interval '1 ms'
            where id = $1""",
        message_id,
        list(recipients),
        failure,
        pause_ms,
    )


async def delete_stale_messages(
    conn: Connection, channels: Collection[Channel], days: int
) -> list[Undelivered]:
    """Give up what no channel takes any more, or has refused for days; returns what that was."""
    rows = await conn.fetch(
        """delete from alert_message
            where channel <> all($1) or at < now() - make_interval(days => $2)
           returning channel, kind, subject, event, tries, failure""",
        list(channels),
        days,
    )
    return [_undelivered(row) for row in rows]


async def list_undelivered(conn: Connection) -> list[Undelivered]:
    """Messages that are on their way, with what went wrong."""
    rows = await conn.fetch(
        """select channel, kind, subject, event, tries, failure from alert_message
            order by at, channel"""
    )
    return [_undelivered(row) for row in rows]


def _undelivered(row: Record) -> Undelivered:
    return Undelivered(
        Channel(row["channel"]),
        AlertKind(row["kind"]),
        row["subject"],
        AlertEvent(row["event"]),
        row["tries"],
        row["failure"],
    )
