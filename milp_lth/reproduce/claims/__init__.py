"""What papers on tickets claim, measured again: one file a system."""
