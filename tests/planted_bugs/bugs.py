"""The bugs, as data: which text becomes which, and the test that must fail."""

from dataclasses import dataclass

_KILLS = "tests/faults/test_kills.py"
_CANCELS = "tests/orders/test_cancellations.py"
_BACKUPS = "tests/cli/test_backups.py"
_AMOUNTS = "tests/money/test_amounts.py"
_BY_TYPE = "tests/orders/test_drafting_by_type.py"
_DETACHING = "tests/orders/test_detaching.py"
_DISPATCH = "tests/orders/test_dispatch.py"
_FAILOVER = "tests/orders/test_failover.py"
_FAILOVERS = "tests/faults/test_failovers.py"
_DRIP_FEED = "tests/orders/test_drip_feed.py"
_INTAKE = "tests/orders/test_intake.py"
_LEASES = "tests/orders/test_leases.py"
_LEDGER = "tests/money/test_ledger.py"
_LIFECYCLE = "tests/orders/test_lifecycle.py"
_LINKS = "tests/schemas/test_links.py"
_NAMES = "tests/web/test_external_ids.py"
_PRIMARY = "tests/store/test_primary.py"
_ROLES = "tests/postgresql/test_roles.py::test_what_the_application_must_not_do_is_refused"
_PLANNING = "tests/catalogue/test_planning.py"
_PRICING = "tests/catalogue/test_pricing.py"
_RECEIPTS = "tests/web/test_receipt_response.py"
_CONTRADICTING = "tests/orders/test_contradicting.py"
_RECONCILING = "tests/orders/test_reconciling.py"
_RECONCILIATION = "tests/orders/test_reconciliation.py"
_REFILLS = "tests/orders/test_refills.py"
_RACES = "tests/faults/test_races.py"
_READING = "tests/providers/test_reading.py"
_SENDING_LANE = "tests/workers/test_sending_lane.py"
_SHARED_BUDGETS = "tests/e2e/test_shared_budgets.py"
_WORKERS = "tests/e2e/test_workers.py"
_OVERLOAD = "tests/faults/test_overload.py"
_SLOW = "tests/faults/test_slow_clients.py"
_TRACKING = "tests/orders/test_tracking.py"
_TRANSPORT = "tests/providers/test_transport.py"
_VALKEY = "tests/faults/test_valkey_loss.py"


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug. ``before`` stands exactly once in ``file``; ``test`` is a pytest node id.

    The failure must show ``shows``, so that a test which fails for another reason is no proof.
    ``mutant`` is its number among those that docs/faults.md names.
    """

    name: str
    file: str
    before: str
    after: str
    test: str
    shows: str = ""
    mutant: str = ""


_COMMITS = "tests/store/test_connection.py"
_DOUBTS = "tests/faults/test_doubtful_commits.py"
_SENDS = "tests/orders/test_doubtful_sends.py"

BUGS = (
    Bug(
        name="a COMMIT that nobody waits for any more is canceled",
        file="gateway/store/connection.py",
        before="""
        # Not a cancellation: the server would end its wait for a standby and call that a success.
        set_aside(conn)
""",
        after="""
        task.cancel()
""",
        test=f"{_COMMITS}::test_a_commit_that_nobody_waits_for_any_more_still_happens",
    ),
    Bug(
        name="a COMMIT is cut off by a deadline",
        mutant="M13",
        file="gateway/store/connection.py",
        before="""
        # Not a cancellation: the server would end its wait for a standby and call that a success.
        set_aside(conn)
""",
        # As ``wait_for`` does it: the connection lives on, and tells the server.
        after="""
        task.cancel()
        await asyncio.wait([task])
        raise TimeoutError
""",
        test=f"{_FAILOVERS}"
        "::test_commits_in_doubt_when_the_primary_dies_lose_no_acknowledged_order",
        shows="told of, and lost",
    ),
    Bug(
        name="a reader that looks once concludes that an order is absent",
        mutant="M15",
        file="gateway/orders/doubts.py",
        before="""
    assert group.until is not None
    ids = sorted(group.doubtful)
""",
        after="""
    assert group.until is not None
    async with pool.acquire() as conn:
        if not await conn.fetch("select 1 from orders where id = any($1)", [*group.doubtful]):
            group.ids.clear()
            group.doubtful.clear()
    ids = sorted(group.doubtful)
""",
        test=f"{_DOUBTS}::test_a_commit_that_goes_on_without_us_is_waited_for",
    ),
    Bug(
        name="a claim is given back by the numbers of its attempts",
        file="gateway/store/attempts.py",
        before="where order_id = any($1) and state = 'intent' and started_at = $2",
        after="where order_id = any($1) and state = 'intent' and $2::timestamptz is not null",
        test=f"{_SENDS}::test_giving_back_leaves_alone_what_somebody_else_has_claimed_meanwhile",
    ),
    Bug(
        name="an answer in doubt counts as delivered",
        file="gateway/orders/doubts.py",
        before="receipts.settle(mark, arrived=False)",
        after="receipts.settle(mark, arrived=True)",
        test=f"{_DOUBTS}::test_a_doubt_that_outlasts_its_client_is_no_second_order_for_a_retry",
    ),
    Bug(
        name="the sweeper queues what was sent",
        mutant="M4",
        file="gateway/orders/dispatch.py",
        before="""
        changes = [move(order, OrderState.UNKNOWN, "lease_over") for order in expired]
        await attempts.set_attempts_unknown(conn, [o.id for o in expired], "the sender is gone")
""",
        after="""
        changes = [move(order, OrderState.QUEUED, "lease_over") for order in expired]
        await conn.execute(
            "update attempt set state = 'not_sent' where order_id = any($1) and state = 'intent'",
            [o.id for o in expired],
        )
""",
        test=_KILLS,
        shows="sent twice",
    ),
    Bug(
        name="a claim is not one transaction",
        mutant="M1",
        file="gateway/orders/dispatch.py",
        before="as conn, transaction(conn, patience=LATE_MS / 1000):",
        after="as conn:",
        test=f"{_SENDS}::test_a_claim_that_breaks_off_before_its_attempts_has_taken_nothing",
        shows="claimed in halves",
    ),
    Bug(
        name="a timer refunds what may have been sent",
        mutant="M5",
        file="gateway/orders/dispatch.py",
        before="""
        changes = [move(order, OrderState.UNKNOWN, "lease_over") for order in expired]
""",
        after="""
        changes = [
            move(order, OrderState.FAILED, "lease_over", refund_target=order.charge)
            for order in expired
        ]
""",
        test=f"{_LEASES}::test_an_order_whose_sender_died_becomes_unknown_and_is_not_sent_again",
    ),
    Bug(
        name="a charge ignores the floor",
        mutant="M10",
        file="gateway/money/ledger.py",
        before="""
        if balance.amount - amount < balance.floor:
            return False
""",
        after="",
        test=f"{_LEDGER}::test_a_charge_below_the_floor_is_refused_and_moves_nothing",
    ),
    Bug(
        name="the database lets a purchase below the floor",
        file="gateway/store/ledger.py",
        before="and (c.amount >= b.floor or c.amount >= b.amount)",
        after="and c.amount is not null",
        test=f"{_LEDGER}::test_the_database_refuses_a_purchase_below_the_floor_whatever_was_computed",
    ),
    Bug(
        name="a refund ignores earlier refunds",
        mutant="M7",
        file="schemas/money.py",
        before="return max(0, min(target, charge) - refunded)",
        after="return min(target, charge)",
        test=f"{_AMOUNTS}::test_any_sequence_of_refund_targets_pays_up_to_the_highest_and_never_above_the_charge",
    ),
    Bug(
        name="accepted orders are read as without an id",
        mutant="M3",
        file="providers/reading.py",
        before="return text if _ORDER_ID.fullmatch(text) else UNSOUND",
        after="return ABSENT",
        test=f"{_READING}::test_order_ids_are_found",
    ),
    Bug(
        name="redirects are followed",
        mutant="M11",
        file="providers/transport.py",
        before="allow_redirects=False",
        after="allow_redirects=True",
        test=f"{_TRANSPORT}::test_a_redirect_is_returned_and_not_followed",
    ),
    Bug(
        name="orders are sent by GET",
        mutant="M12",
        file="providers/transport.py",
        before="""
            call.method,
            call.target,
""",
        after="""
            "GET",
            call.target,
""",
        test=f"{_TRANSPORT}::test_a_request_is_a_form_post_with_ordinary_headers",
    ),
    Bug(
        name="the client repeats a GET by itself",
        file="providers/transport.py",
        before="            middlewares=(_only_once,),\n",
        after="",
        test=f"{_TRANSPORT}::test_whatever_fails_after_sending_may_have_been_processed_and_is_not_repeated",
    ),
    Bug(
        name="whatever fails while sending counts as not sent",
        file="providers/transport.py",
        before="return isinstance(error, _BEFORE_SENDING) and not headers_sent",
        after="return not isinstance(error, aiohttp.ClientPayloadError)",
        test=f"{_TRANSPORT}::test_whatever_fails_after_sending_may_have_been_processed_and_is_not_repeated",
    ),
    Bug(
        name="a lost answer is sent again",
        file="gateway/orders/failover.py",
        before='return [move(order, OrderState.UNKNOWN, "answer_lost")]',
        after='return [move(order, OrderState.QUEUED, "answer_lost")]',
        test=f"{_DISPATCH}::test_an_unknown_order_is_never_sent_again_nor_refunded",
    ),
    Bug(
        name="ambiguous goes to the next route",
        file="gateway/orders/dispatch.py",
        before="""
        except ProviderError as error:
            return error
""",
        after="""
        except ProviderError as error:
            missed = isinstance(error, Ambiguous)
            return Withheld(str(error), elsewhere=True) if missed else error
""",
        test=f"{_FAILOVER}::test_an_order_that_may_have_been_taken_never_reaches_the_second_panel",
    ),
    Bug(
        name="the same route is tried again after a refusal",
        file="gateway/catalogue/routing.py",
        before="and not want.tried.get(key_of(route), NOT_TRIED).refused",
        after="and key_of(route) not in ()",
        test=f"{_FAILOVER}::test_a_route_that_refused_for_good_is_never_asked_again",
    ),
    Bug(
        name="a sender that was stopped after its claim sends late",
        file="gateway/orders/dispatch.py",
        before="if (self._clock() - claimed_at) * 1000 > LATE_MS:",
        after="if self._clock() < claimed_at:",
        test=f"{_LEASES}::test_a_sender_that_was_stopped_after_its_claim_does_not_send",
    ),
    Bug(
        name="a refusal in unknown words gives the money back",
        file="providers/verdicts.py",
        before="""
            raise Ambiguous(f"a refusal in unknown words: {failure.text}", exchange)
""",
        after="""
            group = RefusalGroup.ORDER
""",
        test=f"{_DISPATCH}::test_every_way_of_answering_an_add_has_its_known_outcome",
    ),
    Bug(
        name="an order ends although the status call failed",
        mutant="M6",
        file="gateway/orders/tracking.py",
        before="""
            except ProviderError as error:
                await spend_further_reads(self._pool, provider, meter.requests)
                pause = error.exchange.retry_after if error.exchange else None
                return Polled(len(due), False, meter.requests, pause)
""",
        after="""
            except ProviderError:
                heard = {order.upstream_id: UpstreamStatus("canceled") for order in due}
""",
        test=f"{_TRACKING}::test_a_panel_that_is_away_changes_nothing",
    ),
    Bug(
        name="a correction changes what was told",
        file="gateway/orders/lifecycle.py",
        before="told = order.state in FINAL_STATES",
        after="told = order.state in ()",
        test=f"{_LIFECYCLE}::test_a_late_correction_pays_the_difference_and_leaves_what_was_told",
    ),
    Bug(
        name="a repeated name is a new order",
        file="gateway/orders/naming.py",
        before="order = self._known.get((draft.reseller_id, draft.external_id))",
        after="order = None",
        test=f"{_NAMES}::test_a_repeated_name_is_one_order_and_one_charge",
    ),
    Bug(
        name="a lost answer counts as received",
        file="gateway/web/receipt_response.py",
        before="    return not poll.poll(0)\n",
        after="    return True\n",
        test=f"{_RECEIPTS}::test_a_client_that_has_gone_is_noticed_before_the_loop_learns_of_it",
    ),
    Bug(
        name="a run is made while another one is open",
        file="gateway/orders/schedules.py",
        before="if due is not None and not running and not plan.busy and due <= plan.now:",
        after="if due is not None and not plan.busy and due <= plan.now:",
        test=f"{_DRIP_FEED}::test_a_run_in_doubt_holds_up_those_after_it",
    ),
    Bug(
        name="runs are charged again",
        file="gateway/orders/schedules.py",
        before="""
            await store.insert_runs(conn, made)
""",
        after="""
            await store.insert_runs(conn, made)
            from gateway.money import ledger
            resellers = {s.change.order.id: s.change.order.reseller_id for s in starts}
            for run in made:
                book = await ledger.Book.open(conn, [resellers[run.parent_id]])
                book.charge(resellers[run.parent_id], run.charge, run.order_id)
                await book.write(conn)
""",
        test=f"{_DRIP_FEED}::test_a_drip_feed_is_delivered_in_runs_and_charged_once",
    ),
    Bug(
        name="lost time is made up for in a burst",
        file="gateway/orders/schedules.py",
        before="return planned if planned > plan.now else plan.now + interval",
        after="return planned",
        test=f"{_DRIP_FEED}::test_after_a_long_stop_runs_come_one_at_a_time_and_an_interval_apart",
    ),
    Bug(
        name="a stopped drip-feed gives back runs that were made",
        file="gateway/orders/parts.py",
        before="return parent.charge - first_shares(parent.charge, served, parts)",
        after="return parent.charge",
        test=f"{_DRIP_FEED}::test_stopping_pays_back_at_once_what_was_not_made",
    ),
    Bug(
        name="an old price is charged",
        file="gateway/store/orders.py",
        before="select catalogue = $2 as rightly from version",
        after="select $2::bigint > 0 as rightly from version",
        test=f"{_INTAKE}::test_a_price_that_changed_meanwhile_is_charged_at_the_new_price",
    ),
    Bug(
        name="a drip-feed is charged for one run",
        file="gateway/orders/drafting.py",
        before="times = (runs or 1) * _times(kind, values)",
        after="times = _times(kind, values)",
        test=f"{_BY_TYPE}::test_a_drip_feed_is_charged_for_all_its_runs",
    ),
    Bug(
        name="a subscription is sent without its number of posts",
        file="gateway/orders/drafting.py",
        before="        value = parameter.default\n",
        after="        value = None\n",
        test=f"{_BY_TYPE}::test_a_subscription_is_paid_for_all_its_posts",
    ),
    Bug(
        name="a client's own campaign is taken for tracking",
        file="schemas/links.py",
        before="""
    if known is None:
        return link
""",
        after="""
    if known is None:
        known = _TRACKING["t.me"]
""",
        test=f"{_LINKS}::test_what_says_something_of_the_target_stays",
    ),
    Bug(
        name="a refill is sent twice",
        file="gateway/store/refills.py",
        before="""update refill set state = 'unknown', reason = $1, next_at = 'infinity',""",
        after="""update refill set state = 'requested', reason = $1, next_at = now(),""",
        test=f"{_REFILLS}::test_a_refill_whose_sender_died_becomes_unknown_and_is_not_sent_again",
    ),
    Bug(
        name="a lost answer to a refill is sent again",
        file="gateway/orders/refilling.py",
        before="return RefillChange(refill.id, RefillState.UNKNOWN, reason=said)",
        after="return _later(refill, said, 0)",
        test=f"{_REFILLS}::test_a_lost_answer_freezes_the_refill_which_is_never_sent_again",
    ),
    Bug(
        name="a queued order is canceled and sent",
        file="gateway/store/orders.py",
        before="""
                  and not exists (select from cancellation c
                                   where c.order_id = orders.id and c.state = 'requested')
""",
        after="",
        test=f"{_CANCELS}::test_an_order_that_comes_back_to_the_queue_is_canceled_instead_of_sent",
    ),
    Bug(
        name="a cancellation does not take the lock of a claim",
        file="gateway/store/orders.py",
        before="""
             order by id for no key update\"\"\",
        order_ids,
        reseller_id,
""",
        after="""
             order by id\"\"\",
        order_ids,
        reseller_id,
""",
        test=f"{_CANCELS}::test_parallel_requests_for_a_queued_order_refund_once",
    ),
    Bug(
        name="a request to cancel gives the money back",
        file="gateway/orders/cancelling.py",
        before="OrderState.PLACED: Step.STORED,",
        after="OrderState.PLACED: Step.AT_ONCE,",
        test=f"{_CANCELS}::test_money_moves_only_when_the_upstream_reports_the_end",
    ),
    Bug(
        name="a route that costs more than the price is used",
        file="gateway/catalogue/pricing.py",
        before="        if route.enabled and (service.below_cost or route.cost <",
        after="        if route.enabled and (not service.below_cost or route.cost <",
        test=f"{_PRICING}::test_nothing_is_ever_offered_below_cost_unmarked",
    ),
    Bug(
        name="our price follows a change that waits for an operator",
        file="gateway/catalogue/planning.py",
        before="            return replace(route, cost=cost, basis=basis)",
        after="            return replace(route, cost=cost)",
        test=f"{_PLANNING}::test_a_rise_above_the_threshold_stops_the_sale_until_it_is_approved",
    ),
    Bug(
        name="a sync switches on what an operator switched off",
        file="gateway/catalogue/planning.py",
        before=" and off is not None and route.disabled_reason == off",
        after=" and off is not None",
        test=f"{_PLANNING}::test_what_an_operator_switched_off_after_the_sync_did_stays_off",
    ),
    Bug(
        name="a backup whose checksums were not compared is called good",
        file="gateway/backups/record.py",
        before="return None if _sha256(data / name) == checksum else",
        after="return None if (data / name).stat() and checksum else",
        test=f"{_BACKUPS}::test_damage_is_found",
    ),
    Bug(
        name="a restored gateway gives ids again that clients were told",
        file="gateway/backups/restoring.py",
        before="skipped = ids_to_skip(await servers.get_last_order_id(conn))",
        after="skipped = 0 * await servers.get_last_order_id(conn)",
        test=f"{_BACKUPS}::test_a_backup_under_load_has_all_that_was_acknowledged_before_it_began",
        shows="900000",
    ),
    Bug(
        name="a process has a budget of its own",
        file="gateway/orders/dispatch.py",
        before="""
                free = most_in_flight(provider) - await orders.count_sending(conn, provider.id)
""",
        after="""
                free = most_in_flight(provider)
""",
        test=_SHARED_BUDGETS,
        shows="sent at the same time",
    ),
    Bug(
        name="a lane is woken while what has ended still stands in its way",
        file="gateway/workers/sending.py",
        before="""
        self._sending.discard(task)
        self._quiet_until = 0.0
""",
        after="""
        asyncio.get_running_loop().call_later(0.1, self._sending.discard, task)
        self._quiet_until = 0.0
""",
        test=f"{_SENDING_LANE}::test_an_order_that_ends_makes_room_for_the_next_one_at_once",
    ),
    Bug(
        name="a lane that took some orders rests although more wait",
        file="gateway/workers/sending.py",
        before="""
        if claim.again == 0:
            return 0
""",
        after="",
        test=f"{_SENDING_LANE}::test_a_lane_fills_all_its_room_although_it_takes_few_orders_at_once",
    ),
    Bug(
        name="reads do not wait for the budget",
        file="gateway/catalogue/spending.py",
        before="        raise OverBudget(wait)\n",
        after="",
        test=_SHARED_BUDGETS,
        shows="read too often",
    ),
    Bug(
        name="a worker stops before its successor is ready",
        file="gateway/supervision/supervisor.py",
        before="""
            try:
                await self._take_place(number)
            except UserError as error:
                log.error(
                    "restart.given_up",
""",
        after="""
            try:
                await self._end(old)
                await self._take_place(number)
            except UserError as error:
                log.error(
                    "restart.given_up",
""",
        test=f"{_WORKERS}::test_workers_are_exchanged_under_load_and_no_call_is_refused_or_cut",
        shows="too few are running",
    ),
    Bug(
        name="a stop closes connections without a word",
        file="gateway/app/listening.py",
        before="    draining.set()\n",
        after="",
        test=f"{_WORKERS}::test_workers_are_exchanged_under_load_and_no_call_is_refused_or_cut",
        shows="refused or cut",
    ),
    Bug(
        name="the application may change the ledger",
        file="gateway/store/roles.py",
        before='APPEND_ONLY = ("entry", "order_event",',
        after='APPEND_ONLY = ("order_event",',
        test=_ROLES,
        shows="DID NOT RAISE",
    ),
    Bug(
        name="a failover may lead to a standby",
        file="gateway/store/primary.py",
        before='default = "any" if pgbouncer else "read-write"',
        after='default = "any"',
        test=_PRIMARY,
        shows="'any' == 'read-write'",
    ),
    Bug(
        name="the turn to migrate outlives its transaction",
        file="gateway/store/migrate.py",
        before="select pg_advisory_xact_lock($1)",
        after="select pg_advisory_lock($1)",
        test="tests/store/test_migrate.py::test_a_turn_to_migrate_ends_with_its_transaction",
    ),
    Bug(
        name="limits fail open without Valkey",
        file="gateway/web/leases.py",
        before="                return self._alone.take(who, limit.halved)\n",
        # The half is told, so that the test goes on to what is answered.
        after="                return Quota(limit.halved, 0, 0)\n",
        test=_VALKEY + "::test_without_any_valkey_calls_and_wrong_keys_are_limited_more_strictly",
        shows="10 <= 6",
    ),
    Bug(
        name="status is refused without Valkey",
        mutant="M16",
        file="gateway/web/leases.py",
        before="                return self._alone.take(who, limit.halved)\n",
        after="                return _refused(limit, 0)\n",
        test=_VALKEY + "::test_whatever_happens_to_valkey_orders_and_reads_go_on",
        shows="is refused",
    ),
    Bug(
        name="debts of tokens are never charged",
        file="gateway/web/leases.py",
        before="owed, held = max(0, -share.tokens), max(0, share.tokens)",
        after="owed, held, share.tokens = 0, max(0, share.tokens), max(0, share.tokens)",
        test="tests/web/test_leases.py",
    ),
    Bug(
        name="one reseller's flood goes first",
        file="gateway/grouping.py",
        before="        owner = self._owner_of(item) if self._owner_of is not None else None\n",
        after="        owner = None\n",
        test="tests/test_grouping.py",
    ),
    Bug(
        name="orders whose clients have left are begun",
        file="gateway/web/panel_api.py",
        before="lambda: request.transport is None",
        after="lambda: False",
        test=_OVERLOAD + "::test_orders_whose_clients_have_left_before_their_turn_are_never_begun",
    ),
    Bug(
        name="absence is concluded before the quarantine is over",
        file="gateway/orders/reconciling.py",
        before="    if evidence.now >= doubt.started_at + evidence.quarantine:\n",
        after="    if evidence.now >= doubt.started_at:\n",
        test=f"{_RECONCILIATION}::test_orders_that_were_not_taken_are_sent_again_once_that_is_proved",
        shows="OrderState.UNKNOWN",
    ),
    Bug(
        name="an id of another order is taken",
        file="gateway/orders/listed_orders.py",
        before="if row.upstream_id not in listed.known]",
        after="]",
        test=f"{_RECONCILING}::test_no_order_is_ever_found_where_it_is_not_nor_missed_where_it_is",
        shows="Truth(doubts",
    ),
    Bug(
        name="money that came back hides what was paid",
        file="gateway/orders/reconciliation.py",
        before=" and await self._all_run(adapter, provider)\n",
        after="\n",
        test=f"{_RECONCILIATION}::test_money_that_came_back_for_another_order_acquits_nobody",
        shows="OrderState.REVIEW",
    ),
    Bug(
        name="an order that was taken after all is sent again",
        file="gateway/orders/recording.py",
        before="            moves += await self._contradicted(conn, group, recorded, locked)\n",
        after="",
        test=f"{_CONTRADICTING}::test_an_order_that_was_taken_after_all_is_not_sent_again",
        shows="assert",
    ),
    Bug(
        name="an order whose first attempt runs is sent a third time",
        file="gateway/orders/recording.py",
        before="            if kept is not None:\n                return kept\n",
        after="",
        test=f"{_CONTRADICTING}"
        "::test_an_order_whose_first_attempt_runs_is_neither_sent_a_third_time_nor_paid_back",
        shows="assert",
    ),
    Bug(
        name="an order whose first attempt runs is sent again when the second is absent",
        file="gateway/orders/reconciliation.py",
        before="changes = queued if kept is None else kept\n",
        after="changes = queued\n",
        test=f"{_CONTRADICTING}::test_an_order_whose_first_attempt_runs_is_kept_when_the_second_is"
        "_found_absent",
        shows="assert",
    ),
    Bug(
        name="an order in review whose first attempt runs is paid back by a late answer",
        file="gateway/orders/recording.py",
        before="            if kept is not None:\n",
        after="            if kept:\n",
        test=f"{_CONTRADICTING}::test_a_late_answer_to_an_order_in_review_neither_pays_it_back_nor"
        "_sends_it_again",
        shows="assert",
    ),
    Bug(
        name="an order that was taken is sent again on an operator's word",
        file="gateway/orders/resolving.py",
        before="    _require_none_taken(case)\n",
        after="",
        test=f"{_CONTRADICTING}::test_an_order_that_was_taken_is_not_sent_again_on_an_operators"
        "_word",
        shows="DID NOT RAISE",
    ),
    Bug(
        name="a decision is written to another attempt than the one whose id it names",
        file="gateway/orders/resolving.py",
        before="return known[-1] if known and self.attempt not in known else self.attempt",
        after="return self.attempt",
        test=f"{_CONTRADICTING}::test_a_decision_is_about_the_attempt_whose_id_it_names",
        shows="spare cannot be asked for 77",
    ),
    Bug(
        name="an operator decides about an attempt that was not seen",
        file="gateway/orders/bulk.py",
        before="one = replace(deed, attempt=attempt)",
        after="one = deed",
        test="tests/orders/test_operator_acts.py"
        "::test_a_bulk_decides_about_no_attempt_that_was_not_seen",
        shows="Result.DONE",
    ),
    Bug(
        name="an outcome that a defect keeps from the database is thrown away",
        file="gateway/orders/replaying.py",
        before="            await self._spool.set_aside(entry, _reason(error))\n",
        after="            await self._spool.settle(entry)\n",
        test="tests/orders/test_doubtful_sends.py"
        "::test_a_proof_that_a_defect_keeps_from_the_database_stays_on_disk_until_it_is_told",
        shows="not enough values to unpack",
    ),
    Bug(
        name="an answer from before a restore is taken for another attempt",
        file="gateway/store/attempts.py",
        before="              and a.started_at = coalesce(r.started_at, a.started_at)\n",
        after="",
        test="tests/orders/test_doubtful_sends.py"
        "::test_an_answer_from_before_a_restore_is_not_taken_for_an_attempt_of_the_same_number",
        shows="assert",
    ),
    Bug(
        name="more workers are started than the database has connections for",
        file="gateway/database.py",
        before="    if workers > most:\n",
        after="    if workers > allowed * size:\n",
        test="tests/cli/test_mistakes.py"
        "::test_more_workers_than_the_database_has_connections_for_are_refused",
    ),
    Bug(
        name="an order that no route may deliver waits for ever",
        file="gateway/orders/failover.py",
        before="    if order.state is not OrderState.SENDING or ways.forbidden_for < longest:\n",
        after="    if ways.forbidden_for >= longest:\n",
        test=f"{_FAILOVER}::test_an_order_that_no_route_may_deliver_for_long_is_paid_back",
        shows="assert",
    ),
    Bug(
        name="a run is planned at a loss",
        file="gateway/orders/schedules.py",
        before="    if is_too_dear(route.cost, parent.rate, below_cost=service.below_cost):\n"
        "        return None\n",
        after="",
        test="tests/orders/test_run_routes.py"
        "::test_a_run_is_not_planned_for_a_route_that_costs_more_than_it_pays",
        shows="assert",
    ),
    Bug(
        name="a range with an open order is detached",
        file="gateway/orders/detaching.py",
        before='    reasons = [f"{number} {kind}" for kind, number in holds.items()]',
        after='    reasons = [f"{number} {kind}" for kind, number in list(holds.items())[1:]]',
        test=f"{_DETACHING}::test_a_range_with_an_open_order_is_not_detached",
        shows="DID NOT RAISE",
    ),
    Bug(
        name="a look at orders in doubt reads every attempt",
        file="gateway/store/doubts.py",
        before="""
                      where order_id = any(array(select order_id from resolution
                                                  where at > now() - interval '7 days'))
""",
        after="""
                      where order_id in (select order_id from resolution
                                          where at > now() - interval '7 days')
""",
        test="tests/e2e/test_daily_work.py"
        "::test_a_look_at_an_order_in_doubt_walks_through_no_finished_orders",
        shows="'attempt_0': ",
    ),
    Bug(
        name="the notes on a detached range are not proven",
        file="gateway/store/checks/money.py",
        before="or n.digest <> coalesce(f.digest, 0)",
        after="",
        test=f"{_DETACHING}::test_a_changed_entry_of_a_detached_order_is_found",
        shows="detached_ranges_match",
    ),
    Bug(
        name="the watching audit skips what it has seen once",
        file="gateway/money/watching.py",
        before="checked=sorted(ids) if changed else unfinished,",
        after="checked=unfinished,",
        test="tests/money/test_watching.py"
        "::test_what_went_wrong_since_the_last_run_is_found_until_it_is_mended",
        shows="history_fits_row",
    ),
    Bug(
        name="the watching audit looks at open orders alone",
        file="gateway/money/watching.py",
        before="ids = {*before.checked, *unfinished,",
        after="ids = {*unfinished,",
        test="tests/money/test_watching.py"
        "::test_what_went_wrong_since_the_last_run_is_found_until_it_is_mended",
        shows="history_fits_row",
    ),
    Bug(
        name="the catalogue may change while a group is priced anew",
        file="gateway/store/versions.py",
        before="select catalogue from version for share",
        after="select catalogue from version",
        test=f"{_INTAKE}::test_the_catalogue_stays_as_it_is_while_a_group_is_priced_anew",
        shows="DID NOT RAISE",
    ),
    Bug(
        name="a claim gives an order twice, as a join that fans out does",
        mutant="M2",
        file="gateway/orders/dispatch.py",
        before="        return Claim(taken, at, None",
        after="        return Claim([order for order in taken for _ in range(2)], at, None",
        test=f"{_RACES}::test_senders_that_share_a_few_orders_send_each_once",
    ),
    Bug(
        name="a name is looked up only before the debit",
        mutant="M9",
        file="gateway/orders/intake.py",
        before="""
                book = await Book.open(conn, resellers, skip_locked=run.skip_locked)
                earlier = await Earlier.open(conn, group, self._receipts)
""",
        after="""
                earlier = await Earlier.open(conn, group, self._receipts)
                book = await Book.open(conn, resellers, skip_locked=run.skip_locked)
""",
        test=f"{_RACES}::test_twins_of_the_last_funds_are_one_order_and_nobody_is_refused",
        shows="Not enough funds",
    ),
    Bug(
        name="a body is waited for without end",
        file="gateway/web/slow_clients.py",
        before="        if request.content.is_eof():",
        after="        if request.content is not None:",
        test=_SLOW,
        shows="TimeoutError",
    ),
    Bug(
        name="who is idle between two requests is taken for a slow client",
        file="gateway/web/slow_clients.py",
        before="for c in there - self._heard}",
        after="for c in there}",
        test=_SLOW,
    ),
    Bug(
        name="an alert is told before it has lasted",
        file="gateway/alerts/deciding.py",
        before="return AlertEvent.OPEN if now - alert.since >= HOLD[alert.kind] else None",
        after="return AlertEvent.OPEN",
        test="tests/alerts/test_deciding.py::test_what_passes_by_itself_is_never_told",
    ),
    Bug(
        name="the password of a mail server goes in clear",
        file="gateway/alerts/mail.py",
        before="safe_without = self._password is None or is_loopback(self._host)",
        after="safe_without = True",
        test="tests/alerts/test_channels.py::test_a_password_is_not_sent_without_tls_to_another_machine",
    ),
    Bug(
        name="a message that was sent takes the one along that has replaced it",
        file="gateway/store/alerts.py",
        before="delete from alert_message where id = $1",
        after="delete from alert_message where id is not null and $1 <> ''",
        test="tests/alerts/test_watching.py::"
        "test_a_message_that_was_replaced_while_it_was_sent_does_not_take_the_new_one_along",
    ),
    Bug(
        name="the doctor takes a listener without TLS for ready",
        file="gateway/doctor/configuration.py",
        before="    elif is_loopback(http.host):",
        after="    elif http.host:",
        test="tests/cli/test_doctor.py::test_a_fault_in_the_settings_has_its_line",
        shows="without TLS",
    ),
    Bug(
        name="what all workers know is added up",
        file="gateway/supervision/merging.py",
        before="            elif family.counts or name in ADDED_GAUGES:",
        after="            elif family.counts or family.kind:",
        test="tests/supervision/test_merging.py",
        shows="assert 10",
    ),
    Bug(
        name="a margin forgets what was refunded",
        file="gateway/orders/settling.py",
        before="kept = order.charge - order.refunded - change.refund",
        after="kept = order.charge",
        test="tests/metrics/test_families.py::test_money_is_counted_once_it_is_committed_and_margins_once_orders_end",
        shows="2000000.0 == 1500000",
    ),
    Bug(
        name="who asks for a large amount may confirm it",
        file="gateway/resellers/adjusting.py",
        before="if confirmed and asked.asked_by == warrant.actor.name:",
        after="if confirmed and not asked.asked_by:",
        test="tests/resellers/test_adjusting.py::test_what_is_above_the_limit_needs_two_operators",
    ),
    Bug(
        name="a bulk forgets what its request did before",
        file="gateway/orders/operator_acts.py",
        before="return await _done_before(pool, order_id, warrant) or effect",
        after="return effect",
        test="tests/operators/test_jobs.py::test_the_job_of_a_dead_worker_is_taken_up_and_does_nothing_twice",
    ),
    Bug(
        name="another contradiction waits for the next repeat",
        file="gateway/alerts/deciding.py",
        before="news_at is not None and news_at > alert.told_at",
        after="news_at is not None and news_at > now",
        test="tests/alerts/test_deciding.py::test_another_contradiction_at_the_same_provider_is_told_at_once",
    ),
    Bug(
        name="the orders of a bulk share one request",
        file="gateway/orders/bulk.py",
        before="own = None if warrant is None else _own(warrant, order_id)",
        after="own = warrant",
        test="tests/operators/test_jobs.py::test_a_bulk_in_the_background_does_each_order_once",
    ),
    Bug(
        name="a one-time code is good for as long as its time lasts",
        file="gateway/operators/codes.py",
        before="if step > last and secrets.compare_digest",
        after="if secrets.compare_digest",
        test="tests/web/ops/test_signing_in.py::"
        "test_a_one_time_code_and_a_recovery_code_are_each_accepted_once",
    ),
    Bug(
        name="a form with another session's token is taken",
        file="gateway/web/ops/forms.py",
        before="return hmac.compare_digest(token_for(key, cookie).encode(), given.encode())",
        after="return len(given) == 64",
        test="tests/web/ops/test_guards.py::test_a_form_needs_the_token_of_its_own_session",
    ),
    Bug(
        name="a page that refreshes itself keeps a session alive for ever",
        file="gateway/operators/sessions.py",
        before="if session is not None and is_look:",
        after="if session is not None:",
        test="tests/web/ops/test_sessions.py::"
        "test_half_an_hour_without_a_look_or_twelve_hours_end_a_session",
    ),
    Bug(
        name="strangers who guess lock an operator out",
        file="gateway/web/ops/attempts.py",
        before="known = self.knows(account, mark)",
        after="known = False",
        test="tests/web/ops/test_guards.py::"
        "test_guesses_at_an_account_slow_down_and_lock_no_operator_out",
    ),
    Bug(
        name="support staff find a provider's name in a report",
        file="gateway/web/ops/pages_reports.py",
        before="return [replace(row, key=shown(row.key) if row.key else None) for row in rows]",
        after="return rows if shown else []",
        test="tests/web/ops/test_working_pages.py::test_support_staff_never_read_a_providers_name",
    ),
    Bug(
        name="the deeds of managers are open to support staff in bulk",
        file="gateway/web/ops/pages_bulk.py",
        before='if visit.may(_ROUTES[OrderAction(value.partition(":")[0])])',
        after='if visit.may(_ROUTES[OrderAction.CANCEL]) and ":" not in value',
        test="tests/web/ops/test_working_pages.py::test_support_staff_cannot_refund_in_bulk",
    ),
    Bug(
        name="support staff read what an upstream answered to an attempt",
        file="gateway/web/ops/upstream_words.py",
        before="return replace(attempt, reason=refused, http_status=None)",
        after="return replace(attempt, reason=refused or attempt.reason, http_status=None)",
        test="tests/web/ops/test_upstreams_words.py::"
        "test_no_word_of_an_upstream_reaches_viewers_and_support_staff",
    ),
    Bug(
        name="support staff open an import",
        file="gateway/web/ops/pages_jobs.py",
        before="if job is None or job.kind not in _kinds(visit):",
        after="if job is None:",
        test="tests/web/ops/test_upstreams_words.py::"
        "test_support_staff_see_bulk_jobs_and_no_others",
    ),
    Bug(
        name="a password that was changed while it was checked opens the console",
        file="gateway/operators/signing_in.py",
        before="if locked is None or not locked.enabled or not same:",
        after="if locked is None or not locked.enabled:",
        test="tests/web/ops/test_meanwhile.py::"
        "test_a_lock_or_another_password_while_one_is_checked_keeps_it_out",
    ),
    Bug(
        name="all sessions set up the same second factor",
        file="gateway/operators/codes.py",
        before='b"code seed:" + cookie.encode("utf-8", "surrogatepass")',
        after='b"code seed:" + cookie[:0].encode()',
        test="tests/web/ops/test_meanwhile.py::test_each_session_sets_up_a_seed_of_its_own",
    ),
    Bug(
        name="a proxy reaches a console in development",
        file="gateway/web/ops/at_home.py",
        before='if any(name == "forwarded" or name.startswith("x-forwarded-") for name in names):',
        after='if any(name == "forwarded" for name in names):',
        test="tests/web/ops/test_guards.py::"
        "test_a_console_in_development_answers_this_machine_alone",
    ),
    Bug(
        name="slow clients hold the console's connections",
        file="gateway/app/listening.py",
        before="    if isinstance(listener, HttpSettings | OpsSettings):",
        after="    if isinstance(listener, HttpSettings):",
        test="tests/web/ops/test_guards.py"
        "::test_a_connection_that_owes_the_rest_of_a_request_is_closed",
        shows="TimeoutError",
    ),
    Bug(
        name="malformed requests fill the log",
        file="gateway/web/malformed.py",
        before='log.warning("request.malformed"',
        after='log.info("request.malformed"',
        test="tests/web/test_malformed.py"
        "::test_a_flood_of_malformed_requests_does_not_fill_the_log",
    ),
    Bug(
        name="a settings file that cannot be read is quoted",
        file="gateway/config.py",
        before='_QUOTED.sub("", error.problem)',
        after='" ".join(str(error).split())',
        test="tests/test_config.py::test_a_typing_error_in_the_file_does_not_repeat_a_secret",
        shows="hunter22",
    ),
)

#: Mutants that break code which is not there yet, by what it is.
WAITING = {
    "M8": "top-ups by payment gateways",
    "M14": "webhooks to resellers",
}
