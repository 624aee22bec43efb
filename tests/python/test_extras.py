"""The examples that need big installs: `make test-extras` runs them; elsewhere they are skipped."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "needs"),
    [("activity_torch", "torch"), ("activity_aeon", "aeon"), ("activity_xgboost", "xgboost")],
)
def test_an_example_with_a_big_install_knows_most_of_the_activities(
    name: str, needs: str, tmp_path: Path
) -> None:
    if importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed; make test-extras")
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    right, _, total = done.stdout.split()[:3]
    # The network sees windows that are not full, too.
    assert int(total) == (280 if needs == "torch" else 120)
    assert int(right) >= 0.85 * int(total)
