"""The nth read, write, sync, truncate, open or delete fails: told rightly, nothing lost, and the next call works."""

from __future__ import annotations

from functools import partial

import pytest
from failing import StateUnderFault, StoreUnderFault
from failing_writers import HoldsUnderFault, RolloutUnderFault
from faults import FAULTS

IDS = [f"{fault.kind} {fault.how}{' and all after it' if fault.sticky else ''}" for fault in FAULTS]
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=IDS)


def one_after_the_other(meets, fault, *, first=1, every=1):
    """Let the ``first`` operation of the fault's kind fail, then a later one, until a run met no fault."""
    nth = first
    while meets(fault, nth):
        nth += every
    return nth


@each_fault
def test_whichever_operation_of_a_store_fails_nothing_is_lost_and_the_next_call_works(fault, memory, seed):
    one_after_the_other(StoreUnderFault(memory).meets, fault, first=1 + seed % 5, every=5)


@each_fault
def test_whichever_operation_fails_while_a_file_is_made_it_can_be_made_again(fault, memory, seed):
    meets = partial(StoreUnderFault(memory).meets, new=True)
    one_after_the_other(meets, fault, first=1 + seed % 5, every=5)


@each_fault
def test_whichever_operation_of_a_group_fails_each_member_is_told_its_own_truth(fault, memory, seed):
    one_after_the_other(HoldsUnderFault(memory).meets, fault, first=1 + seed % 5, every=5)


@each_fault
def test_whichever_operation_of_an_index_fails_the_next_open_goes_on(fault, memory, seed):
    one_after_the_other(StateUnderFault(memory).meets, fault, first=1 + seed % 17, every=17)


@each_fault
def test_whichever_operation_of_a_writer_fails_every_line_is_in_the_rollout_once(fault, memory):
    one_after_the_other(RolloutUnderFault(memory).meets, fault)


@pytest.mark.torture
@each_fault
@pytest.mark.parametrize("scenario", [StoreUnderFault, HoldsUnderFault, StateUnderFault])
def test_whichever_single_operation_fails_nothing_is_lost_and_the_next_call_works(scenario, fault, memory):
    met = one_after_the_other(scenario(memory).meets, fault) - 1

    print(f"{met} operations failed, each in a run of its own")
    assert met > 0 or fault.kind in ("delete", "truncate", "open")  # a group need not meet these
