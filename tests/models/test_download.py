"""A small server speaks the hub's API as huggingface_hub asks it; only the network is not real."""

import errno
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lantu.errors import DiskError, LantuError, ModelError
from lantu.models import download, hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Serves ``server.folder`` as the repository owner/tiny."""

    def log_message(self, *arguments):
        self.server.asked.append(f"{self.command} {self.path}")

    def do_GET(self, body=True):
        path = self.path.partition("?")[0]
        if not path.removeprefix("/api/models").startswith("/owner/"):
            return self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        if "owner/gated" in path and "/resolve/" in path:
            return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if path.startswith("/api/") and "/revision/" in path and not path.endswith(("/main", COMMIT)):
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if path.startswith("/api/"):
            files = [self.entry(each) for each in sorted(self.server.folder.rglob("*")) if each.is_file()]
            siblings = [{"rfilename": each["path"], "size": each["size"]} for each in files]
            info = {"id": "owner/tiny", "sha": COMMIT, "siblings": siblings}
            return self.answer(200, json.dumps(files if "/tree/" in path else info).encode(), {})
        name = path.partition(f"/resolve/{COMMIT}/")[2]
        content = (self.server.folder / name).read_bytes()
        return self.answer(200, content, {"ETag": f'"{git_digest(content)}"', "X-Repo-Commit": COMMIT}, body)

    def do_HEAD(self):
        self.do_GET(body=False)

    def entry(self, path):
        name = path.relative_to(self.server.folder).as_posix()
        return {"type": "file", "path": name, "size": path.stat().st_size, "oid": git_digest(path.read_bytes())}

    def answer(self, status, content, headers, body=True):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def git_digest(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def server(tiny_model, tmp_path, monkeypatch):
    """The hub at HF_ENDPOINT, and an empty cache."""
    served = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    served.folder, served.asked = shutil.copytree(tiny_model, tmp_path / "repository"), []
    (served.folder / "run_me.py").write_text("raise SystemExit('code of a stranger')\n")
    (served.folder / "pytorch_model.bin").write_bytes(b"a pickle")
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{served.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HUGGINGFACE_HUB_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


def test_a_model_is_downloaded_once_and_then_opens_offline(server, capfd):
    folder = hub.find("owner/tiny").check()
    assert folder.path == download.cached("owner/tiny")
    names = {path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()}
    assert "language/model.safetensors" in names
    assert not [name for name in names if name.endswith((".py", ".bin"))]
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("lantu: downloading owner/tiny (0.0 GB) into ")
    assert err.count("\n") == 1  # no progress bar where stderr is no terminal
    server.asked.clear()
    assert hub.find("owner/tiny").digest == folder.digest
    assert hub.find(f"owner/tiny@{COMMIT}").digest == folder.digest
    assert server.asked == []


def test_an_interrupted_download_goes_on(server):
    folder = download.fetch("owner/tiny")
    weights = folder / "decoder" / "model.safetensors"
    content = weights.read_bytes()
    weights.resolve().unlink()
    weights.unlink()
    server.asked.clear()
    assert (download.fetch("owner/tiny") / "decoder" / "model.safetensors").read_bytes() == content
    assert [each for each in server.asked if each.startswith("GET") and "resolve" in each] == [
        f"GET /owner/tiny/resolve/{COMMIT}/decoder/model.safetensors"
    ]


def test_a_folder_and_a_shelf_win_over_the_hub(server, tiny_model, tmp_path, monkeypatch):
    here = shutil.copytree(tiny_model, tmp_path / "owner" / "tiny")
    assert hub.find("owner/tiny").path.resolve() == here
    monkeypatch.setenv("LANTU_MODELS", str(tiny_model.parent))
    assert hub.find("tiny").path == tiny_model
    assert server.asked == []


def refused(name, kind=LantuError):
    with pytest.raises(kind) as caught:
        hub.find(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_the_hub_refuses_is_one_line(server):
    assert "no folder other/tiny here and no model other/tiny on the hub" in refused("other/tiny", ModelError)
    assert "has no revision v9" in refused("owner/tiny@v9", ModelError)
    assert "must give you access first: ask for it at http" in refused("owner/gated", ModelError)
    shutil.rmtree(server.folder / "decoder")
    shutil.rmtree(server.folder / "language")
    shutil.rmtree(server.folder / "tokenizer")
    assert "no weights as safetensors" in refused("owner/pickles", ModelError)


def test_offline_is_one_line(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert refused("owner/tiny") == (
        "owner/tiny is neither a folder nor in the cache, and the hub can't be reached: go online, or give a model's "
        "folder"
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "the hub can't be reached" in refused("owner/tiny")


def test_a_snapshot_that_lacks_weights_says_so_offline(server, monkeypatch):
    folder = download.fetch("owner/tiny")
    (folder / "decoder" / "model.safetensors").unlink()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "is only partly in the Hugging Face cache" in refused("owner/tiny")


def test_a_full_disk_is_one_line(server, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 10, 0))
    assert "GB free: free some space, or set HF_HOME" in refused("owner/tiny", DiskError)


def test_a_disk_that_fills_up_meanwhile_is_one_line(server, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download._download_to_tmp_and_move", full)
    assert "No space left on device" in refused("owner/tiny", DiskError)


def test_without_huggingface_hub_the_cache_still_opens(server, monkeypatch):
    whole = download.fetch("owner/tiny")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert hub.find("owner/tiny").path == whole
    assert refused("owner/other") == (
        "there is no folder owner/other here, and downloading it from the hub needs huggingface_hub: "
        "pip install 'lantu[hub]'"
    )


def test_links_into_the_store_that_repositories_share(server):
    """huggingface_hub 2.4 keeps files that come by Xet once: a blob is a link to blobs/ab/abcd…"""
    folder = download.fetch("owner/tiny")
    store = download.cache() / "blobs"
    for link in folder.rglob("*.safetensors"):
        digest = hashlib.sha256(link.read_bytes()).hexdigest()
        shared = store / digest[:2] / digest
        shared.parent.mkdir(parents=True, exist_ok=True)
        blob = Path(link.parent, link.readlink()).resolve()
        blob.rename(shared)
        blob.symlink_to(shared)
    with pytest.raises(ModelError, match="link that leaves its folder"):
        hub.find("owner/tiny").check()
    (store / ".huggingface-shared-blobs").write_text("1\n")
    assert hub.find("owner/tiny").check().digest


@pytest.mark.parametrize(
    "name", ["tiny", "./owner/tiny", "a/b/c", "owner/..", "owner/na..me", "/owner/tiny", "owner/x@../y"]
)
def test_what_is_no_id(name):
    assert not download.is_id(name)


def test_parts_that_nobody_needs_stay_on_the_hub(server):
    index = {part: ["library", "Class"] for part in ("tokenizer", "language", "decoder")}
    (server.folder / "model_index.json").write_text(json.dumps(index))
    folder = download.fetch("owner/tiny", ("decoder",))
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["decoder"]
    server.asked.clear()
    assert download.fetch("owner/tiny", ("decoder",)) == folder
    assert server.asked == []
    assert (download.fetch("owner/tiny") / "language" / "model.safetensors").is_file()


def test_each_tensor_is_chosen_once():
    pipeline = [
        "model_index.json",
        "sd_xl_base_1.0.safetensors",
        "README.md",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/model.onnx",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "tokenizer/merges.txt",
    ]
    assert download.wanted(pipeline) == [
        "README.md",
        "model_index.json",
        "tokenizer/merges.txt",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]
    needed = download.wanted([*pipeline, "text_encoder/model.safetensors"], ("unet", "vae"))
    assert [name.partition("/")[0] for name in needed] == ["README.md", "model_index.json", "unet", "unet", "vae"]
    sharded = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    language = [
        *sharded,
        "model.safetensors.index.json",
        "consolidated.safetensors",
        "tokenizer.model",
        "x.py",
        "x.bin",
    ]
    assert download.wanted(language) == [*sharded, "model.safetensors.index.json", "tokenizer.model"]
    assert download.wanted(["ae.safetensors"]) == ["ae.safetensors"]


def test_the_command_draws_by_hub_id(server, tmp_path):
    """In a process of its own, as a user would; offline the second time."""
    call = [sys.executable, "-m", "lantu", "draw", "a cat", "--model", "owner/tiny", "--seed", "1", "-o"]
    first = subprocess.run([*call, "one.png"], capture_output=True, text=True, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    server.shutdown()
    second = subprocess.run([*call, "two.png"], capture_output=True, text=True, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
