"""The `dvtfast` command, or, where its packages are missing, a word on how to get them."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from .cli import main as command_line
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "dvtfast":
            raise
        sys.exit(
            f"dvtfast: {error.name} is not installed; the command needs: pip install 'dvtfast[services]'"
        )
    command_line(prog_name="dvtfast")


if __name__ == "__main__":
    main()
