"""The terminal app: a thin front end over the store's records and the CLI's own event stream."""
