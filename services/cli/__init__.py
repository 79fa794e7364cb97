"""The command line: one file a group of commands. Heavy imports wait until a command needs them."""


def main() -> None:
    """The console script."""
    from services.cli.app import run

    run()
