"""Tests of the ranking of files.

Authors
 * The miipher2 authors 2026
"""

from miipher2.evaluation.ranking import rank
from miipher2.evaluation.scores import Scores


def ranking(tmp_path, *lines):
    path = tmp_path / "files.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return rank(Scores(path))


def test_the_worst_file_by_each_criterion_comes_first(tmp_path):
    found = ranking(
        tmp_path,
        "file,input_cer,restored_cer,restored_speaker,notes",
        "a,90,95,0.9,",  # CER rises by 5 points
        "b,0,50,0.8,",  # CER rises by 50 points
        "c,0,0,0.3,",  # lowest speaker similarity
        "d,0,,,silent",
    )
    assert found.order.tolist() == [1, 2, 0]
    assert found.criterion == ["cer", "speaker", "cer"]
    assert found.place == [1, 1, 2]


def test_a_file_that_lacks_one_score_is_ranked_by_the_others(tmp_path):
    found = ranking(
        tmp_path,
        "file,restored_cer,restored_ovrl,notes",
        "a,3,,",
        "b,,4,",
        "c,,1,",
    )
    assert sorted(found.order.tolist()) == [0, 1, 2]
    assert found.order[-1] == 1


def test_files_without_scores_are_not_ranked(tmp_path):
    assert not len(ranking(tmp_path, "file,notes", "a,").order)
