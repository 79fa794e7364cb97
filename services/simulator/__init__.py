"""A simulated organisation with a Jira site and a GitHub host of its own: behind `demo`, and the tests' trackers."""
