"""Align: each work item to the nodes it serves, dated, and booked in the ledger."""
