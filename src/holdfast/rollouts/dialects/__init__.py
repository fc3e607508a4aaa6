"""One module per agent whose transcripts we read. Each gives ``parse(line) -> Item``."""
