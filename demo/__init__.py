"""The main jobs of holdfast, done in front of you on real recorded homes."""
