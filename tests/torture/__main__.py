"""The command line: `scripts/torture` runs the suite, part by part, and writes its figures."""

from __future__ import annotations

import argparse
import json
import sys

from .fleet import FAULT_BUILD, ROOT
from .plan import plan_of
from .seed import Run
from .shape import shape_of


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=50)
    arguments = parser.parse_args()
    built = FAULT_BUILD.is_dir()
    run = Run(
        arguments.seed,
        shape_of(arguments.seed),
        plan_of(arguments.seed, arguments.faults, fault_build=built),
        ROOT / "build/torture" / f"seed-{arguments.seed}",
        fault_build=built,
    )
    outcome = run.outcome()
    print(json.dumps(outcome.as_dict(), indent=1))
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
