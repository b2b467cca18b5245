"""One hash over the recordings of many seeds: ``python -m tests.tools.explored_hash [--seeds 500]``.

It is the same on every machine and Python; the session ``explored_pythons`` compares it on those that the
package declares.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable

from accuser.explore import draw, play


def hash_of(seeds: Iterable[int]) -> str:
    """The hash over the recordings of the networks that are drawn from these seeds."""
    whole = hashlib.sha256()
    for seed in seeds:
        whole.update(hashlib.sha256(play(draw(seed)).recording).digest())
    return whole.hexdigest()


def main() -> None:
    """Print the hash."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many; 500")
    parser.add_argument("--first", type=int, default=0, help="the first of them; 0")
    arguments = parser.parse_args()
    print(hash_of(range(arguments.first, arguments.first + arguments.seeds)))


if __name__ == "__main__":
    main()
