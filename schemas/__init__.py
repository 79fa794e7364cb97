"""The ground every room stands on: typed models, no I/O."""
