"""Readers of trackers: they fetch, translate and prove complete. They know no database and no stream."""
