"""Courseline's service: one room a stage, in the order data flows."""
