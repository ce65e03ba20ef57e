"""The one thing that pyproject.toml can't say: a built wheel carries the shipped models, as ``lantu/shipped/``."""

from pathlib import Path
from shutil import copytree

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithModels(build_py):
    """Copies ``models/`` beside the package's code. An editable installation reads it where it lies."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            copytree("models", Path(self.build_lib) / "lantu" / "shipped", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithModels})
