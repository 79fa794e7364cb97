"""Alert: tell the teams what they can trust: each finding's change once, and nothing on a first look."""
