"""Where targets and the data to judge them by come from."""
