"""One short module for each schema that was ever released."""
