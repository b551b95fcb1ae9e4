"""Windows out: what is known of runs, for people and for machines."""
