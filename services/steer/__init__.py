"""Steer: is each node on course? Progress, forecast, drift and findings."""
