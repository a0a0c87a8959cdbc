"""The tests mirror the tree of the code; what several of them share is in `support`."""
