"""Homes, states and processes for the tests of indexing."""

from index_helpers import child, homes, plain_dir, state_dir

__all__ = ["child", "homes", "plain_dir", "state_dir"]
