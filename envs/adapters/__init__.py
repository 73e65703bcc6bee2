"""Other libraries' environments as ours, and ours as theirs. Each module is imported only when it is asked for."""
