"""What kinds of homes there are, and what is in each."""
