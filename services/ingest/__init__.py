"""Ingest: what connectors notice becomes stored state and events, in one transaction."""
