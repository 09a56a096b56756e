"""The package's commands: `check` for authors, `serve` for the worker."""

from __future__ import annotations

import sys


def main(argv: list[str]) -> int:
    if len(argv) == 3 and argv[:2] == ["serve", "--socket"]:
        from ._process import serve

        return serve(argv[2])
    from ._check import check

    return check(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
