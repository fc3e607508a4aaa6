"""The log of a host program: segments that one process writes and every process may read."""
