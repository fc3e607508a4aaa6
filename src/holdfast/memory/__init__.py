"""What is remembered of threads: extracted by a model, kept by scope, put together in a few files."""
