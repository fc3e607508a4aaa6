"""Where rollouts and threads meet: the ledger of files, and the index made from them."""
