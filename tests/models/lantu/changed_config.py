"""Copies of model directories in which one part's config says something else."""

import json
import shutil


def with_changed_config(model, to, part, changes):
    """A copy at ``to`` whose ``part`` has other entries in its config.json; without the checksums that would tell."""
    changed = shutil.copytree(model, to)
    path = changed / part / "config.json"
    config = json.loads(path.read_text())
    inner = {name: config[name] | value if isinstance(value, dict) else value for name, value in changes.items()}
    path.write_text(json.dumps(config | inner))
    index = json.loads((changed / "model_index.json").read_text())
    (changed / "model_index.json").write_text(json.dumps({k: v for k, v in index.items() if k != "checksums"}))
    return changed
