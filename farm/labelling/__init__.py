"""The page on which people judge pairs: which pairs in which order, what is written, who may come in."""
