"""The nth read, write, sync, truncate, open or delete fails: told rightly, nothing lost, and the next call works."""

from __future__ import annotations

import pytest
from failing import RolloutUnderFault, StateUnderFault, StoreUnderFault
from faults import FAULTS

IDS = [f"{fault.kind} {fault.how}{' and all after it' if fault.sticky else ''}" for fault in FAULTS]


def until_none_is_left(meets, *, every=1):
    """Let the first fail, then the second, and so on, until a run met no fault."""
    nth = 1
    while meets(nth):
        nth += every
    return nth - 1


@pytest.mark.parametrize("fault", FAULTS, ids=IDS)
def test_whichever_operation_of_a_store_fails_nothing_is_lost_and_the_next_call_works(fault, memory):
    store = StoreUnderFault(memory)

    assert until_none_is_left(lambda nth: store.meets(fault, nth)) > 0


@pytest.mark.parametrize("fault", FAULTS, ids=IDS)
def test_whichever_operation_fails_while_a_file_is_made_it_can_be_made_again(fault, memory):
    store = StoreUnderFault(memory)

    assert until_none_is_left(lambda nth: store.meets(fault, nth, new=True)) > 0


@pytest.mark.parametrize("fault", FAULTS, ids=IDS)
def test_whichever_operation_of_an_index_fails_the_next_open_goes_on(fault, memory):
    state = StateUnderFault(memory)

    assert until_none_is_left(lambda nth: state.meets(fault, nth)) > 0


@pytest.mark.parametrize("fault", FAULTS, ids=IDS)
def test_whichever_operation_of_a_writer_fails_every_line_is_in_the_rollout_once(fault, memory):
    rollout = RolloutUnderFault(memory)

    until_none_is_left(lambda nth: rollout.meets(fault, nth))
