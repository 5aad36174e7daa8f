"""A stand-in for the Hugging Face Hub with the HTTP interface that tests need.

The stand-in keeps repositories in memory and has no Xet storage. It answers the
requests in ``ROUTES``, which the ``huggingface_hub`` client library sends. Its
answers have not been compared with those of the real Hub.

Authors
 * The miipher2 authors 2026
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_test"


class LocalHub:
    """A local HTTP server with model repositories.

    ``repositories`` contains a dictionary for each repository name. For each
    revision, this dictionary contains the files ``{path: bytes}`` under the key
    ``revision``, and the commit hash under the key ``(revision, "sha")``.
    """

    def __init__(self):
        self.repositories = {}
        self.blobs = {}
        self.private = set()
        self.requests = []
        hub = self

        class Handler(_Handler):
            store = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def add(self, name, files, *revisions):
        """Add a commit with files and return its hash."""
        content = "".join(f"{k}{v!r}" for k, v in sorted(files.items()))
        sha = hashlib.sha1(content.encode()).hexdigest()
        repository = self.repositories.setdefault(name, {})
        for revision in (sha, *revisions):
            repository[revision] = files
            repository[revision, "sha"] = sha
        return sha

    @contextmanager
    def running(self):
        """Serve until the end of the context."""
        thread = threading.Thread(
            target=self.server.serve_forever, args=(0.02,)
        )
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Log nothing."""

    def answer(self, status=200, body=b"", **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    @property
    def logged_in(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def respond(self):
        body = self.body()
        path = unquote(urlsplit(self.path).path)
        self.store.requests.append(f"{self.command} {path}")
        for method, pattern, answer in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                return answer(self, body, *found.groups())
        return self.answer(404, {"error": f"unsupported request: {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = respond

    def files(self, name, revision):
        """Return the files of a revision, or answer with an error."""
        repository = self.store.repositories.get(name)
        if repository is None or (
            name in self.store.private and not self.logged_in
        ):
            error = {"error": "Repository not found"}
            return self.answer(401, error, X_Error_Code="RepoNotFound")
        if revision not in repository:
            error = {"error": f"Invalid rev id: {revision}"}
            return self.answer(404, error, X_Error_Code="RevisionNotFound")
        return repository[revision]

    def info(self, _, name, revision="main"):
        files = self.files(name, revision)
        if files is not None:
            sha = self.store.repositories[name][revision, "sha"]
            siblings = [{"rfilename": path} for path in files]
            self.answer(200, {"id": name, "sha": sha, "siblings": siblings})

    def tree(self, _, name, revision):
        files = self.files(name, revision)
        if files is not None:
            entries = [
                {
                    "type": "file",
                    "path": path,
                    "size": len(content),
                    "oid": hashlib.sha1(content).hexdigest(),
                }
                for path, content in files.items()
            ]
            self.answer(200, entries)

    def resolve(self, _, name, revision, path):
        files = self.files(name, revision)
        if files is not None:
            sha = self.store.repositories[name][revision, "sha"]
            etag = f'"{hashlib.sha1(files[path]).hexdigest()}"'
            self.answer(200, files[path], ETag=etag, X_Repo_Commit=sha)

    def create(self, body):
        if not self.logged_in:
            return self.answer(401, {"error": "Invalid username or password."})
        request = json.loads(body)
        name = "/".join(
            filter(None, (request.get("organization"), request["name"]))
        )
        exists = name in self.store.repositories
        self.store.repositories.setdefault(name, {})
        return self.answer(409 if exists else 200, {"url": f"/{name}"})

    def check_card(self, body):
        self.answer(200, {"errors": [], "warnings": []})

    def preupload(self, body, name, revision):
        self.answer(
            200,
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs"
                        if file["path"].endswith(".safetensors")
                        else "regular",
                        "shouldIgnore": False,
                    }
                    for file in json.loads(body)["files"]
                ]
            },
        )

    def lfs_batch(self, body, name):
        objects = [
            {
                **entry,
                "actions": {
                    "upload": {"href": f"{self.store.url}/lfs/{entry['oid']}"}
                },
            }
            for entry in json.loads(body)["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, body, oid):
        assert hashlib.sha256(body).hexdigest() == oid
        self.store.blobs[oid] = body
        self.answer(200)

    def commit(self, body, name, revision):
        files = dict(self.store.repositories[name].get(revision, {}))
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.store.blobs[value["oid"]]
        sha = self.store.add(name, files, revision)
        url = f"{self.store.url}/{name}/commit/{sha}"
        self.answer(200, {"commitUrl": url, "commitOid": sha})


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = (
    ("GET", rf"/api/models/{NAME}", _Handler.info),
    ("GET", rf"/api/models/{NAME}/revision/(.+)", _Handler.info),
    ("GET", rf"/api/models/{NAME}/tree/([^/]+)", _Handler.tree),
    ("GET HEAD", rf"/{NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.check_card),
    ("POST", rf"/api/models/{NAME}/preupload/(.+)", _Handler.preupload),
    ("POST", rf"/{NAME}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", r"/lfs/(\w+)", _Handler.lfs_put),
    ("POST", rf"/api/models/{NAME}/commit/(.+)", _Handler.commit),
)
