"""Boards of Hermes (``kanban.db``, versions 0.13 to 0.19): where they lie, and what their rows mean here.

The database is read by a process of its own (``read_worker``), which answers with
cards; nothing about it changes. Rows that are odd become findings, and what they
held stays in the task's metadata under ``hermes``.
"""
