"""What several tests share: servers, small ledgers, small models, made-up judges."""
