"""The state layer under coding agents: every thread found, listed and searched; nothing lost."""
