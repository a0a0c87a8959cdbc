"""Whole experiments made of the verbs: validation of a simulated study against people, the quickstart."""
