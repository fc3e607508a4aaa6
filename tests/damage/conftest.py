"""Homes, states and processes for the tests of indexing, and of the doctor."""

import healthy
import pytest
from home_doctor import codex, doctor, newest, rollout
from mending import mend, place, start
from whole_home import home, looks_only, whole

from index_helpers import child, homes, plain_dir, state_dir

__all__ = [
    "child",
    "codex",
    "doctor",
    "home",
    "homes",
    "looks_only",
    "mend",
    "newest",
    "place",
    "plain_dir",
    "rollout",
    "start",
    "state_dir",
    "whole",
]


@pytest.fixture(scope="session")
def healthy_homes(tmp_path_factory):
    """The folder of the fifty homes with nothing wrong, and the homes. Nobody but their own writers changes them."""
    folder = tmp_path_factory.mktemp("healthy")
    return folder, healthy.make(folder)
