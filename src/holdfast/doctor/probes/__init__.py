"""The probes, in the order they run. Each looks at one thing, and yields what is not as it must be.

A raw probe gets the facts that were read without SQLite (``facts/``); one through
SQLite gets a target and opens its databases by ``sqlite.inspecting``. Each has a
limit of its own in ms, after which its target's next probe has its turn.
"""

from __future__ import annotations
