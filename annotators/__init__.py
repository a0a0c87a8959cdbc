"""Annotators: whatever looks at two outputs and says which is better."""
