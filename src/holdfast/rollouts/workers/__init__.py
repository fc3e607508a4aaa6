"""Work on all cores, in processes of our own. Knows pipes and deaths, not the work."""
