"""The account: ski rental in simulated time, at most about twice the best choice in hindsight."""

from __future__ import annotations

import math

import pytest

from deepgemm.planner.account import LEAST_CALLS, LEAST_PRICE, Account, settle, terms, total_spent
from deepgemm.planner.candidates import Candidate, Choice, choose, rank
from deepgemm.planner.decision import decide


def test_a_layout_is_saved_for():
    slow, fast = Candidate("a", predicted=1e-2), Candidate("b", predicted=5e-3, conversion=1.0, layout="l")
    bound = terms(Choice(slow, "", fast, 0.7), Account())
    assert bound == (5e-3, 1e-2, 0.7, math.inf)


def test_a_measured_time_is_not_scaled():
    slow, rival = Candidate("a", predicted=1e-2), Candidate("b", predicted=5e-3, measured=True)
    assert terms(Choice(slow, "", rival, 0.0), Account()).expected == 0.0


def test_a_plan_without_alternative_is_never_due():
    assert terms(Choice(Candidate("a", predicted=1.0), ""), Account()).price == math.inf


def test_an_operand_is_looked_at_once_that_is_worth_it():
    alone = Candidate("a", predicted=1.0, measured=True)
    target = Candidate("b", predicted=0.5, conversion=9.0)
    assert terms(Choice(alone, ""), Account(), look=0.25).look == 0.25
    assert terms(Choice(alone, "", target, 9.0), Account(), look=0.25) == (0.5, 1.0, 9.0, 0.25)
    assert Account(runs=(("a", 3, 0.5), ("b", 2, 0.25))).seconds == 2.0


def test_tiny_products_are_not_thought_over_often():
    choice = Choice(Candidate("a", predicted=1e-6), "", Candidate("b", predicted=2e-6), 0.0)
    assert terms(choice, Account()).price == LEAST_PRICE


def test_thinking_again_to_no_avail_backs_off():
    choice = Choice(Candidate("a", predicted=1e-6, measured=True), "", Candidate("b", predicted=2e-6), 0.0)
    account, prices = Account(), []
    for _ in range(4):
        prices.append(terms(choice, account).price)
        account = settle(account, choice, 10, 1e-3, 1e-6)
    assert prices == [LEAST_PRICE, LEAST_PRICE, 2 * LEAST_PRICE, 4 * LEAST_PRICE]


def test_settle_counts_runs_and_keeps_the_fastest():
    choice = Choice(Candidate("a", predicted=1e-3), "")
    account = settle(Account(), choice, 2, 0.0, 2e-3)
    assert account.measured == ()
    account = settle(account, choice, LEAST_CALLS, 0.0, 3e-3)
    assert account.measured == (("a", 2e-3),)
    assert settle(account, choice, 0, 0.0, math.inf) is account


def test_losses_are_added_as_counted():
    choice = Choice(
        Candidate("a", predicted=1e-3, measured=True), "", Candidate("b", layout="sell", conversion=1.0), 1.0
    )
    account = settle(Account((("sell", 0.25),)), choice, 5, 0.5, 1e-3)
    assert account.spent == (("sell", 0.75),)
    assert account.without("sell").spent == ()
    assert account.without("dense").spent == account.spent


def test_accounts_of_one_operand_add_up():
    accounts = [Account((("sell", 0.5),)), Account((("csr", 1.0), ("sell", 0.25)))]
    assert total_spent(accounts) == (("csr", 1.0), ("sell", 0.75))


def simulate(make, machine, calls, truth, spec, columns):
    """Run products in simulated time; return the total, and the time of each policy in hindsight."""
    account, owned, total = Account(), (), 0.0
    spent_on_conversion = 0.0
    problem = make.sparse(columns, spec=spec)
    remaining = calls
    while remaining:
        problem = make.sparse(
            columns,
            spec=make.sparse_spec(spec.format, layouts=owned),
            spent=account.spent,
            measured=account.measured,
        )
        choice = decide(problem, machine).choice
        chosen = choice.candidate
        if chosen.conversion:
            total += chosen.conversion
            spent_on_conversion += chosen.conversion
            owned = (*owned, chosen.layout)
            account = account.without(chosen.layout)
        bound = terms(choice, account)
        each, lost, ran = truth(chosen), 0.0, 0
        loss = max(0.0, each - bound.best * (min(1.0, each / bound.expected) if bound.expected else 1.0))
        while remaining and (ran < LEAST_CALLS or lost <= bound.price):
            lost += loss
            ran += 1
            remaining -= 1
            total += each
        account = settle(account, choice, ran, lost, each)
    hindsight = min(
        c.conversion + calls * truth(c)
        for c in rank(make.sparse(columns, spec=spec), machine)
        if c.refused is None
    )
    return total, hindsight, spent_on_conversion


@pytest.mark.parametrize("columns", [None, 32])
@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("calls", [1, 3, 10, 30, 100, 300, 1000, 10_000])
def test_at_most_about_twice_the_best_in_hindsight(make, machine, calls, format, columns):
    spec = make.sparse_spec(format)
    total, hindsight, _ = simulate(make, machine, calls, lambda c: c.predicted, spec, columns)
    # One more call than the price may be lost before it is noticed, and no plan is due before three.
    assert total <= 2.0 * hindsight + 5 * max(
        c.predicted for c in rank(make.sparse(columns, spec=spec), machine)[:5]
    )


@pytest.mark.parametrize("wrong", [0.1, 0.3, 3.0, 10.0])
def test_wrong_predictions_do_not_last(make, machine, wrong):
    """Whichever single kernel's time is mispredicted, many calls come near to the best choice."""
    for victim in ("csr_vector", "sell_vector", "csr_rowwise"):

        def truth(candidate, victim=victim):
            return candidate.predicted * (wrong if candidate.kernel == victim else 1.0)

        base = {c.kernel: c.predicted for c in rank(make.sparse(None), machine)}

        def fixed_truth(candidate, victim=victim, base=base):
            return base[candidate.kernel] * (wrong if candidate.kernel == victim else 1.0)

        total, hindsight, _ = simulate(make, machine, 20_000, fixed_truth, make.sparse_spec("csr"), None)
        # A kernel that is faster than predicted but ranked far behind is never tried: that costs at
        # most what its own prediction promised to be slower by.
        limit = 1.2 if wrong > 1 else max(1.2, 1.1 * min(base.values()) / hindsight * 20_000)
        assert total <= limit * hindsight, (victim, wrong)


def test_nothing_is_bought_that_does_not_pay(make, machine):
    spec = make.sparse_spec("csr")
    _, _, conversion = simulate(make, machine, 2, lambda c: c.predicted, spec, None)
    assert conversion == 0


def test_choose_is_deterministic(make, machine):
    problem = make.sparse(None, spent=(("sell:csr", 1e-5),))
    assert choose(problem, rank(problem, machine)) == choose(problem, rank(problem, machine))
