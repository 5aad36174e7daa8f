"""Tests of scoring in worker processes.

Authors
 * The miipher2 authors 2026
"""

import pytest
from toy_metrics import KillerSettings, speech, write

from miipher2.errors import UserError
from miipher2.evaluation import pool
from miipher2.evaluation.matching import Match
from miipher2.evaluation.pool import ScorerPool


@pytest.fixture
def matches(tmp_path):
    def make(*names):
        path = tmp_path / "a.wav"
        write(path, speech())
        return [Match(name, {"restored": str(path)}, "x") for name in names]

    return make


def test_only_the_file_that_kills_its_worker_fails(matches):
    names = ["a", "b", "kill", "c", "d", "e"]
    found = ScorerPool(KillerSettings(["restored"]), 2).run(matches(*names))
    rows = {row["file"]: row for row in found}
    assert sorted(rows) == sorted(names)
    killed = rows.pop("kill")
    assert killed["status"] == "failed" and killed["condition"] == "x"
    assert killed["notes"] == "the worker process died"
    assert {row["status"] for row in rows.values()} == {"done"}


@pytest.mark.slow
def test_repeated_deaths_of_workers_end_the_run(matches, monkeypatch):
    monkeypatch.setattr(pool, "MAX_KILLED", 2)
    found = ScorerPool(KillerSettings(["restored"]), 1)
    with pytest.raises(UserError, match="fewer --workers"):
        list(found.run(matches("kill1", "kill2", "kill3")))


@pytest.mark.slow
def test_a_scored_file_resets_the_count_of_deaths(matches, monkeypatch):
    monkeypatch.setattr(pool, "MAX_KILLED", 2)
    found = ScorerPool(KillerSettings(["restored"]), 1)
    rows = found.run(matches("kill1", "a", "kill2", "b"))
    status = [row["status"] for row in rows]
    assert status == ["failed", "done", "failed", "done"]
