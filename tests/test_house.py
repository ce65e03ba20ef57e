"""The house rules, held by a test: small files, small functions, documented public names, no room without a purpose."""

import ast
from pathlib import Path

import pytest

import lantu

PACKAGE = Path(lantu.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES, MAX_FUNCTION, MAX_ENTRIES = 400, 60, 25
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path):
    return str(path.relative_to(PACKAGE))


def body_lines(node):
    """Lines of a function from the first statement after its docstring; a command's options don't count."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return node.end_lineno - body[0].lineno + 1 if body else 0


def interfaces():
    """Methods that a protocol or a base class of ours documents: classes that implement them need not say it again."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in FILES]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = [node for node in classes if any("Protocol" in ast.unparse(base) for base in node.bases)]
    bases += [node for node in classes if node.name in ("Task", "Objective")]
    methods = [inner for node in bases for inner in node.body if isinstance(inner, Function)]
    return {inner.name for inner in methods if ast.get_docstring(inner) is not None} | {"forward"}  # and PyTorch's


INTERFACES = interfaces()


def public(tree):
    """Public classes and functions of a module, and public methods of public classes: (name, node)."""
    for node in tree.body:
        if isinstance(node, (*Function.__args__, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, Function) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


def test_the_root_is_small():
    entries = {path.name for path in PACKAGE.iterdir() if path.name not in ("__pycache__", "shipped")}
    assert len(entries) <= MAX_ENTRIES
    assert not any("util" in path.name for path in PACKAGE.rglob("*"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_small(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    long = {node.name: body_lines(node) for node in ast.walk(ast.parse(text)) if isinstance(node, Function)}
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION} == {}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_public_names_have_docstrings(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [name for name, node in public(tree) if ast.get_docstring(node) is None]
    missing = [name for name in names if name.rpartition(".")[2] not in INTERFACES or "." not in name]
    assert missing == []
