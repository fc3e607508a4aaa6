"""How values look: on a terminal, on a pipe, as JSON. Knows no command."""
