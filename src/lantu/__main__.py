"""``python -m lantu``, and the command ``lantu``."""

import gc
import sys


def main() -> int:
    """Run a command; see ``lantu.cli.main``."""
    # Hundreds of modules and a vocabulary are objects that stay: the garbage collector would look through them a dozen
    # times, a tenth of the time that a drawing takes from the start of the process.
    gc.set_threshold(100_000)
    try:
        from lantu.cli import main as run

        return run()
    except KeyboardInterrupt:  # before the command has begun
        return 130


if __name__ == "__main__":
    sys.exit(main())
