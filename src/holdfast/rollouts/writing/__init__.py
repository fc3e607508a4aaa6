"""Writing rollouts: one writer per thread, its lock, and the lines real Codex reads back."""
