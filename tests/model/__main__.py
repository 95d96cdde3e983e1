"""`python -m tests.model`: the table of the variants, and how each of them breaks what it breaks."""

from __future__ import annotations

import sys

from tests.model.exploring import VARIANTS, explore, table


def main() -> None:
    found = [explore(variant) for variant in VARIANTS]
    lines = [table(found), ""]
    for one in found:
        lines += [f"{one.variant.name}: {promise}: {', '.join(story)}" for promise, story in one.broken.items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
