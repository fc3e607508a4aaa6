"""What a plan may contain: each repair, by its name."""
