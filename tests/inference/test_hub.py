"""Tests of model repositories, with a local replacement for the hub.

Authors
 * The miipher2 authors 2026
"""

import pytest

from miipher2.errors import UserError
from miipher2.inference import hub
from miipher2.inference.model_folder import find_model

FILES = {"hyperparams.yaml": b"window_seconds: 20.0\n", "README.md": b"# New"}
OLD = {**FILES, "README.md": b"# Old"}


def test_a_model_is_downloaded_at_a_revision_and_found_offline(local_hub):
    old = local_hub.add("user/name", OLD, "v1")
    local_hub.add("user/name", FILES, "main")
    for name, card in (
        ("user/name", b"# New"),
        ("user/name@v1", b"# Old"),
        (f"user/name@{old}", b"# Old"),
    ):
        assert (find_model(name) / "README.md").read_bytes() == card
    local_hub.server.server_close()  # connections are refused from now on
    local_hub.server.shutdown()
    assert (find_model("user/name") / "README.md").read_bytes() == b"# New"
    assert (find_model("user/name@v1") / "README.md").read_bytes() == b"# Old"


def test_a_cached_model_is_not_downloaded_again(local_hub):
    local_hub.add("user/name", FILES, "main")
    find_model("user/name")
    local_hub.requests.clear()
    find_model("user/name")
    assert not [line for line in local_hub.requests if "resolve" in line]


def test_a_private_repository_needs_a_login(local_hub, monkeypatch):
    local_hub.add("user/private", FILES, "main")
    local_hub.private.add("user/private")
    assert find_model("user/private").is_dir()
    monkeypatch.delenv("HF_TOKEN")
    local_hub.add("user/other", FILES, "main")
    local_hub.private.add("user/other")
    with pytest.raises(UserError, match="or a private one; log in with"):
        find_model("user/other")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("user/missing", "no such repository, or a private one"),
        ("user/name@v9", "no such revision"),
        ("user/name@", "expected a revision after @"),
        ("a/b/c", "neither a folder nor available from the hub"),
    ],
)
def test_unavailable_models_give_a_one_line_error(local_hub, name, message):
    local_hub.add("user/name", FILES, "main")
    with pytest.raises(UserError, match=message) as error:
        find_model(name)
    assert "\n" not in str(error.value) and name in str(error.value)


def test_a_model_that_is_not_cached_needs_a_network(local_hub):
    local_hub.server.server_close()
    local_hub.server.shutdown()
    with pytest.raises(UserError, match="cannot be reached, and .* the cache"):
        find_model("user/name")


def test_a_folder_with_an_at_sign_takes_precedence_over_the_hub(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "user" / "name@v1"
    folder.mkdir(parents=True)
    (folder / "hyperparams.yaml").write_text("window_seconds: 20.0")
    assert find_model("user/name@v1").samefile(folder)


def test_upload_needs_a_login(local_hub, monkeypatch, tmp_path):
    (tmp_path / "README.md").write_text("# Model")
    hub.upload(tmp_path, "user/name")
    assert local_hub.repositories["user/name"]["main"] == {
        "README.md": b"# Model"
    }
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="not uploaded .*no valid access token"):
        hub.upload(tmp_path, "user/other")


@pytest.mark.parametrize("name", ["name", "a/b/c", "user/na me", "user/x@v1"])
def test_invalid_repository_names_are_rejected(name):
    with pytest.raises(UserError, match=name):
        hub.check_name(name)
