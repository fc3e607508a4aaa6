"""The doctor: what is wrong with the state of an agent, and how to mend it."""
