"""The tools a harness offers in a thread, beside those its agent brings along."""
