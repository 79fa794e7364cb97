"""Feed: the figures for everybody else: REST, pages, events, exports."""
