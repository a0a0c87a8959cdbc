"""One short module per schema ever shipped."""
