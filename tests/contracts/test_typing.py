from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHERE = {"mypy": [], "pyright": ["--pythonpath", sys.executable]}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_public_api_is_typed_as_the_api_file_says(checker: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", checker, *WHERE[checker], "tests/typing/api.py"],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
