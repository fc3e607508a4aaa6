"""A logger of the test's own with a handler on a writer in hand."""

from __future__ import annotations

import logging

import pytest
from log_writers import Lines

from holdfast.logs import LogHandler


@pytest.fixture
def lines():
    return Lines()


@pytest.fixture
def make_logger(lines, request):
    """Make a logger whose records go to ``lines``; what the handler did not take must have been counted."""
    made = []

    def make(**options):
        options.setdefault("level", 1)
        handler = LogHandler(lambda: lines, **options)
        logger = logging.Logger(request.node.name, level=1)
        logger.addHandler(handler)
        made.append(handler)
        return logger, handler

    yield make
    lines.released.set()
    for handler in made:
        handler.close()
        stats = handler.stats()
        dropped = sum(n for levels in stats.dropped.values() for n in levels.values())
        assert stats.given == stats.written + stats.repeats + dropped


@pytest.fixture
def logger(make_logger):
    return make_logger()[0]


@pytest.fixture
def kept(lines, logger):
    """Return the host's lines so far."""

    def flushed():
        logger.handlers[0].flush()
        return lines.host

    return flushed
