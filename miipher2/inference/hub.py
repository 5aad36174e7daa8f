"""Model repositories on the Hugging Face hub: download and upload.

Authors
 * The miipher2 authors 2026
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from miipher2.errors import UserError

# Cause and remedy by type of error
REASONS = {
    GatedRepoError: (
        "access is granted on request; ask for it on the repository's page, "
        "then log in with: hf auth login"
    ),
    RevisionNotFoundError: "no such revision",
    RepositoryNotFoundError: (
        "no such repository, or a private one; log in with: hf auth login"
    ),
    LocalEntryNotFoundError: (
        "the hub cannot be reached, and the model is not in the cache"
    ),
    LocalTokenNotFoundError: "no valid access token: run hf auth login",
}


def split_revision(name: str) -> tuple[str, str | None]:
    """Split ``USER/NAME@REVISION`` into the repository and the revision.

    Arguments
    ---------
    name : str
        A repository, optionally with a branch, tag or commit.

    Returns
    -------
    repository : str
        ``USER/NAME``.
    revision : str
        Branch, tag or commit. None for the latest commit of the default branch.

    Raises
    ------
    UserError
        If nothing follows the ``@``.

    Example
    -------
    >>> split_revision("user/model@v1.0")
    ('user/model', 'v1.0')
    """
    repository, at, revision = name.partition("@")
    if at and not revision:
        raise UserError(f"{name}: expected a revision after @")
    return repository, revision or None


def download(name: str) -> Path:
    """Download a repository, except for files that are in the cache.

    Arguments
    ---------
    name : str
        ``USER/NAME`` or ``USER/NAME@REVISION``.

    Returns
    -------
    Path
        The folder in the cache. If the hub cannot be reached, the copy from
        an earlier download is used.

    Raises
    ------
    UserError
        If there is no such repository or revision, if access is denied, or if
        the hub cannot be reached and the repository is not in the cache.
    """
    repository, revision = split_revision(name)
    with _as_user_error(f"{name}: neither a folder nor available from the hub"):
        return Path(snapshot_download(repository, revision=revision))


def check_name(repository: str) -> None:
    """Raise a ``UserError`` unless a name has the form ``USER/NAME``.

    Example
    -------
    >>> check_name("user/model")
    """
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"{repository}: {error}") from None
    if repository.count("/") != 1:
        raise UserError(f"{repository}: expected USER/NAME")


def upload(folder: Path, repository: str) -> str:
    """Upload a folder to a repository, which is created if needed.

    Arguments
    ---------
    folder : Path
        Folder whose files are uploaded in one commit.
    repository : str
        ``USER/NAME``. A new repository is public.

    Returns
    -------
    str
        Hash of the commit.

    Raises
    ------
    UserError
        If the hub rejects the upload or cannot be reached.
    """
    api = HfApi()
    with _as_user_error(
        f"{folder} is complete, but was not uploaded to {repository}"
    ):
        api.create_repo(repository, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=repository,
            commit_message="Upload a restoration model",
        )
    return str(commit.oid)


@contextlib.contextmanager
def _as_user_error(message: str) -> Iterator[None]:
    """Convert errors from the hub to a ``UserError`` with the given message."""
    try:
        yield
    except (HTTPError, HFValidationError, OSError) as error:
        raise UserError(f"{message} ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    """Return the cause of an error from the hub, in one line."""
    for kind, reason in REASONS.items():
        if isinstance(error, kind):
            return reason
    status = None
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
    if status == 401:
        return REASONS[LocalTokenNotFoundError]
    if status == 403:
        return "permission denied; log in with another token: hf auth login"
    return (str(error).strip() or type(error).__name__).splitlines()[0]
