"""The version, which tells revisions apart."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cytotrace2_lite._version import RELEASE, _of_the_checkout

ROOT = Path(__file__).parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMED = f"{RELEASE}.dev0+g012345678"


def test_the_release_is_named_once():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == RELEASE
    assert f'fallback_version = "{RELEASE}.dev0"' in (ROOT / "pyproject.toml").read_text()
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {RELEASE}\n" in citation


def test_it_is_of_this_commit():
    done = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if done.returncode or not (ROOT / ".git").exists():
        pytest.skip("not in a checkout")
    assert _of_the_checkout(ROOT) == f"{RELEASE}.dev0+g{done.stdout[:9]}"


@pytest.fixture
def git(tmp_path):
    folder = tmp_path / ".git"
    (folder / "refs/heads").mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/main\n")
    return folder


def test_a_branch(git, tmp_path):
    (git / "refs/heads/main").write_text(f"{COMMIT}\n")
    assert _of_the_checkout(tmp_path) == NAMED


def test_a_packed_branch(git, tmp_path):
    other = COMMIT[::-1]
    (git / "packed-refs").write_text(
        f"# pack-refs with: peeled\n{other} refs/heads/a-main\n{COMMIT} refs/heads/main\n"
    )
    assert _of_the_checkout(tmp_path) == NAMED


def test_a_commit_without_a_branch(git, tmp_path):
    (git / "HEAD").write_text(f"{COMMIT}\n")
    assert _of_the_checkout(tmp_path) == NAMED


@pytest.mark.parametrize("packed", [False, True])
def test_a_worktree(git, tmp_path, packed):
    worktree = git / "worktrees/other"
    worktree.mkdir(parents=True)
    (worktree / "HEAD").write_text("ref: refs/heads/other\n")
    (worktree / "commondir").write_text("../..\n")
    if packed:
        (git / "packed-refs").write_text(f"{COMMIT} refs/heads/other\n")
    else:
        (git / "refs/heads/other").write_text(f"{COMMIT}\n")
    (tmp_path / "there").mkdir()
    (tmp_path / "there/.git").write_text(f"gitdir: {worktree}\n")
    assert _of_the_checkout(tmp_path / "there") == NAMED


def test_a_copy_without_history(git, tmp_path):
    assert _of_the_checkout(tmp_path / "nowhere") == f"{RELEASE}.dev0"
    assert _of_the_checkout(tmp_path) == f"{RELEASE}.dev0"  # before the first commit


def test_that_of_a_build_goes_before(tmp_path):
    package = tmp_path / "cytotrace2_lite"
    package.mkdir()
    for name in ("__init__.py", "_version.py"):
        (package / name).write_text((ROOT / "cytotrace2_lite" / name).read_text())
    (package / "_build.py").write_text('VERSION = "7.8.9"\n')
    done = subprocess.run(
        [sys.executable, "-c", "import cytotrace2_lite as ct2; print(ct2.__version__)"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "7.8.9\n"


def test_the_metadata_of_packages_is_not_read_for_it():
    code = "import sys, cytotrace2_lite; sys.exit('importlib.metadata' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
