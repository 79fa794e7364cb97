"""The ledger: dated postings per node, and their balances. The one room that other stages share."""
