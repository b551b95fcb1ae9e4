"""Output: runs and their verdicts as tables, JSON, Parquet and a report."""
