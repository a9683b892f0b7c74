"""Looking and telling on a real database: once over many processes, however channels fail."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.alerts.channels import open_outlets
from gateway.alerts.delivering import deliver, pause_after
from gateway.alerts.watching import look, standing
from gateway.catalogue.balances import note_silence
from gateway.metrics import ALERT_MESSAGES, ALERTS_OPEN, BACKUP_AGE
from gateway.quarantine import keep
from gateway.spool import OUTCOME, Spool
from gateway.store import providers
from gateway.store.connection import Pool
from gateway.workers.alerting import BackgroundAlerts
from gateway.workers.heartbeat import Heartbeat
from schemas.alerts import AlertKind
from schemas.config import SettingsModel
from tests.alerts.twins import CHAT, GREYLISTED, RECIPIENT, SECRET, SENDER, TOKEN, Twin
from tests.conftest import OpenGateway, eventually
from tests.world import World


def _settings(bot: Twin | None = None, receiver: Twin | None = None) -> SettingsModel:
    """An audit that found something is told at once; a look is due whenever it is asked for."""
    alerts: dict[str, Any] = {"every_ms": 100}
    if bot:
        alerts["telegram"] = {"token": TOKEN, "chat": CHAT, "url": bot.url}
    if receiver:
        alerts["webhook"] = {"url": receiver.url, "secret": SECRET}
    return SettingsModel.model_validate({"alerts": alerts})


async def _break(pool: Pool, number: int = 2) -> None:
    await pool.execute("update audit_watch set broken = $1, ran_at = now()", number)


async def _look(pool: Pool, settings: SettingsModel) -> bool:
    await pool.execute("update alert_watch set looked_at = 'epoch'")
    return await look(pool, settings)


async def _deliver(pool: Pool, settings: SettingsModel) -> None:
    async with open_outlets(settings.alerts) as outlets:
        await deliver(pool, outlets)


async def _make_due(pool: Pool) -> None:
    await pool.execute("update alert_message set next_at = now() - interval '1 second'")


async def test_trouble_is_told_once_by_each_channel_and_once_when_it_is_over(
    pool: Pool, bot: Twin, receiver: Twin
) -> None:
    settings = _settings(bot, receiver)
    await _break(pool)
    for _ in range(3):
        assert await _look(pool, settings)
        await _deliver(pool, settings)
    assert len(bot.got) == len(receiver.got) == 1
    await _break(pool, 0)
    for _ in range(3):
        await _look(pool, settings)
        await _deliver(pool, settings)
    assert ["audit-failure" in got["text"] for got in bot.got] == [True, True]
    assert [got["type"] for got in receiver.got] == ["alert.open", "alert.over"]
    assert (await standing(pool)).alerts == []


async def test_of_many_processes_one_looks_and_each_message_is_sent_by_one(
    pool: Pool, receiver: Twin
) -> None:
    settings = _settings(receiver=receiver)
    await _break(pool)
    looked = await asyncio.gather(*(look(pool, settings) for _ in range(5)))
    assert looked.count(True) == 1
    await asyncio.gather(*(_deliver(pool, settings) for _ in range(5)))
    assert len(receiver.got) == 1


async def test_a_message_that_was_not_taken_is_tried_again_and_shown(
    pool: Pool, bot: Twin, receiver: Twin
) -> None:
    settings = _settings(bot, receiver)
    await _break(pool)
    await _look(pool, settings)
    bot.failure = "429"
    failed = ALERT_MESSAGES.labels("telegram", "failed")
    before = failed._value.get()
    await _deliver(pool, settings)
    assert failed._value.get() == before + 1
    assert len(receiver.got) == 1  # one channel does not hold up another
    [waiting] = (await standing(pool)).undelivered
    assert waiting.tries == 1
    assert "Too Many Requests" in (waiting.failure or "")
    due = await pool.fetchval("select next_at - now() > interval '30 s' from alert_message")
    assert due, "the pause that was asked for is kept"
    asked = bot.asked
    await _deliver(pool, settings)
    assert bot.asked == asked
    bot.failure = None
    await _make_due(pool)
    await _deliver(pool, settings)
    assert len(bot.got) == 1
    assert (await standing(pool)).undelivered == []


async def test_who_was_refused_for_the_moment_gets_the_mail_later_and_nobody_gets_it_twice(
    pool: Pool, post: Twin
) -> None:
    alerts = {"url": post.url, "sender": SENDER, "recipients": [RECIPIENT, GREYLISTED]}
    settings = SettingsModel.model_validate({"alerts": {"every_ms": 100, "email": alerts}})
    await _break(pool)
    await _look(pool, settings)
    for _ in range(2):
        await _deliver(pool, settings)
        await _make_due(pool)
        assert [got["to"] for got in post.got] == [[RECIPIENT]]
    [waiting] = (await standing(pool)).undelivered
    assert f"{GREYLISTED}: 450" in (waiting.failure or "")
    post.greylists = False
    await _deliver(pool, settings)
    assert [got["to"] for got in post.got] == [[RECIPIENT], [GREYLISTED]]
    assert (await standing(pool)).undelivered == []


async def test_what_was_never_told_is_told_as_over_in_one_message(pool: Pool, bot: Twin) -> None:
    settings = _settings(bot)
    bot.failure = "500"
    await _break(pool)
    await _look(pool, settings)
    await _deliver(pool, settings)
    await _break(pool, 0)
    await _look(pool, settings)
    await _look(pool, settings)
    bot.failure = None
    await _make_due(pool)
    await _deliver(pool, settings)
    [got] = bot.got
    assert "over audit-failure" in got["text"]
    assert "2 rows are broken" in got["text"]


async def test_a_message_that_was_replaced_while_it_was_sent_does_not_take_the_new_one_along(
    pool: Pool, receiver: Twin
) -> None:
    settings = _settings(receiver=receiver)
    await _break(pool)
    await _look(pool, settings)
    async with open_outlets(settings.alerts) as [outlet]:

        class Slow:
            channel = outlet.channel
            check = outlet.check

            async def send(self, message: Any) -> str:
                answer = await outlet.send(message)
                await _break(pool, 0)
                await _look(pool, settings)
                await _look(pool, settings)
                return answer

        await deliver(pool, [Slow()])
        await _make_due(pool)
        await deliver(pool, [outlet])
    assert [got["type"] for got in receiver.got] == ["alert.open", "alert.over"]


async def test_messages_of_a_channel_that_is_no_more_are_given_up(pool: Pool, bot: Twin) -> None:
    await _break(pool)
    await _look(pool, _settings(bot))
    await _look(pool, _settings())
    assert (await standing(pool)).undelivered == []


def test_pauses_double_up_to_a_quarter_of_an_hour_and_keep_to_what_is_asked() -> None:
    assert [pause_after(tries, None) for tries in (1, 2, 3)] == [5_000, 10_000, 20_000]
    assert pause_after(50, None) == pause_after(1, 1e6) == 900_000
    assert pause_after(1, 33) == 33_000


async def test_the_facts_of_a_shop_in_trouble_are_seen(pool: Pool, world: World) -> None:
    settings = _settings()
    provider = await world.provider("http://127.0.0.1:9", low_balance="5")
    await pool.execute("update provider set balance = 1, unanswered_since = now()")
    await pool.execute("insert into contradiction values (17, 1, $1, '77')", provider.id)
    await pool.execute("update migration set applied_at = now() - interval '2 days'")
    await pool.execute("insert into process values ('a/1/x', 'all', 'a', 1, '0.1', 3)")
    await _look(pool, settings)
    known = {alert.kind: alert for alert in (await standing(pool)).alerts}
    assert set(known) == {
        AlertKind.PROVIDER_DOWN,
        AlertKind.PROVIDER_OUT_OF_FUNDS,
        AlertKind.CONTRADICTION,
        AlertKind.BACKUP_TOO_OLD,
        AlertKind.SPOOL_HOLDS_ENTRIES,
    }
    assert known[AlertKind.PROVIDER_DOWN].told_at is None
    assert known[AlertKind.CONTRADICTION].told_at is not None


async def test_what_a_dead_process_held_is_trouble_until_another_has_its_folder(
    pool: Pool,
) -> None:
    settings = _settings()
    await pool.execute("insert into backup values (now(), '/b', 1)")
    await pool.execute(
        """insert into process (id, role, host, pid, version, spool_entries, quarantined, spool,
                                started_at, beat_at)
           values ('dead', 'all', 'a', 1, '0.1', 3, 1, 's1', now() - '3 days'::interval,
                   now() - '2 days'::interval)"""
    )

    async def seen() -> list[str]:
        await _look(pool, settings)
        return [alert.summary for alert in (await standing(pool)).alerts if alert.gone_at is None]

    [summary] = await seen()
    assert "3 entries" in summary
    await pool.execute(
        """insert into process (id, role, host, pid, version, spool_entries, spool, started_at)
           values ('elsewhere', 'all', 'b', 2, '0.1', 0, 's2', now() - '1 hour'::interval),
                  ('young', 'all', 'c', 3, '0.1', 0, 's1', now())"""
    )
    assert len(await seen()) == 1
    await pool.execute("update process set started_at = now() - '1 hour'::interval")
    assert await seen() == []
    await _look(pool, settings)
    assert await pool.fetchval("select count(*) from process where id = 'dead'") == 0


async def test_a_process_that_stops_with_entries_stays_known(pool: Pool, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    heartbeat = Heartbeat(pool, "all", spool)
    await heartbeat.work()
    assert await pool.fetchval("select spool from process") == ""
    entry = await spool.add(OUTCOME, {"order_id": 1})
    keep(spool.quarantine, OUTCOME, datetime.now(UTC), "a defect", {"order_id": 2})
    await heartbeat.end()
    row = await pool.fetchrow("select spool_entries, quarantined, spool from process")
    assert row is not None
    assert tuple(row) == (1, 1, Spool(tmp_path / "spool").name())
    await spool.settle(entry)
    next(spool.quarantine.iterdir()).unlink()
    await heartbeat.end()
    assert await pool.fetchval("select count(*) from process") == 0
    await spool.close()


async def test_the_loop_of_a_process_shows_what_is_open(pool: Pool, bot: Twin) -> None:
    settings = _settings(bot)
    await pool.execute("insert into backup values (now() - interval '1 hour', '/b', 1)")
    await _break(pool)
    async with open_outlets(settings.alerts) as outlets:
        await BackgroundAlerts(pool, settings, outlets).work()
    assert ALERTS_OPEN.labels("audit-failure")._value.get() == 1
    assert 3590 < BACKUP_AGE._value.get() < 3700
    assert len(bot.got) == 1


async def test_a_gateway_tells_what_is_wrong_and_leaves_no_sign_of_life_behind(
    pool: Pool, open_gateway: OpenGateway, receiver: Twin
) -> None:
    alerts = {"every_ms": 100, "webhook": {"url": receiver.url, "secret": SECRET}}
    async with open_gateway(alerts=alerts):
        await _break(pool)

        async def told() -> bool:
            return len(receiver.got) == 1

        await eventually(told)
        assert await pool.fetchval("select role from process") == "all"
    assert await pool.fetchval("select count(*) from process") == 0


@pytest.mark.parametrize("answered", [False, True])
async def test_an_account_that_stops_answering_is_noted_until_it_answers(
    pool: Pool, world: World, answered: bool
) -> None:
    record = await world.provider("http://127.0.0.1:9")
    await note_silence(pool, record, "no answer\0", 1000)
    since = await pool.fetchval("select unanswered_since from provider")
    await note_silence(pool, record, "still none", 1000)
    if answered:
        async with pool.acquire() as conn:
            await providers.set_provider_balance(conn, record.id, 1, "USD")
    row = await pool.fetchrow("select unanswered_since, unanswered_reason from provider")
    assert row is not None
    assert tuple(row) == ((None, None) if answered else (since, "still none"))
