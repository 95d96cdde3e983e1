"""The rooms of the house, the arrows between them and the one door of each library: read from every module's imports.

A module in no room, an import along no arrow and a library through no door fail. There is no list of exceptions.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVICE = ROOT / "service"
MODULES = sorted(SERVICE.rglob("*.py"))
#: Released migrations are never edited: rules that were made later do not bind them.
LIVING = [path for path in MODULES if path.parent.name != "versions"]

#: Room -> the rooms it may import from, besides itself. A room is a folder or a module of service/.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "clock": set(),
    "logs": set(),
    "settings": {"errors"},
    "domain": {"errors"},
    "store": {"domain", "errors"},
    "store.migrations": {"store", "settings"},
    "mail": {"domain", "errors"},
    "actions": {"store", "mail", "domain", "clock", "errors"},
    "wiring": {"actions", "store", "mail", "domain", "clock", "settings", "errors"},
    "web": {"wiring", "actions", "store", "mail", "domain", "clock", "settings", "errors"},
    "daemon": {"wiring", "actions", "web", "domain", "clock", "settings", "errors"},
    "demo": {"wiring", "actions", "store", "mail", "web", "domain", "clock", "settings", "logs", "errors"},
    "cli": {
        "demo",
        "daemon",
        "web",
        "wiring",
        "actions",
        "store",
        "mail",
        "domain",
        "clock",
        "settings",
        "errors",
        "logs",
    },
    "__main__": {"cli"},
    "__init__": set(),
}
#: What starts slowly is imported by the function that starts it.
ONLY_INSIDE_FUNCTIONS = {"cli": {"daemon", "web", "demo"}, "daemon": {"web"}, "demo": {"web"}}

#: Library -> the rooms or modules that may name it.
DOORS: dict[str, tuple[str, ...]] = {
    "aiosmtpd": ("mail.catcher",),
    "cryptography": ("actions.backup_lock", "actions.second_factor"),
    "aiosmtplib": ("mail.relay", "mail.conversation"),
    "alembic": ("store.migrations", "store.schema", "cli"),
    "apscheduler": ("daemon",),
    "argon2": ("actions.passwords",),
    "babel": ("mail",),
    "click": ("cli",),
    "email_validator": ("actions.addresses",),
    "fastapi": ("web", "daemon"),
    "jinja2": ("mail.texts", "web"),
    "markdown_it": ("mail.markdown",),
    "markupsafe": ("mail", "web"),
    "pyotp": ("actions.second_factor",),
    "segno": ("web.desk.qr",),
    "pydantic": ("settings",),
    "pydantic_settings": ("settings",),
    "sqlalchemy": ("store", "actions"),
    "starlette": ("web", "daemon"),
    "structlog": ("logs", "actions", "wiring", "daemon", "web", "mail"),
    "uvicorn": ("web", "daemon"),
    "zxcvbn": ("actions.passwords",),
}


def dotted(path: Path) -> str:
    """service/store/outbox.py -> store.outbox; a package is its folder's name."""
    parts = path.relative_to(SERVICE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room(module: str) -> str:
    """The room of a module named from service/ on: the longest name in ARROWS that holds it."""
    names = [name for name in ARROWS if module == name or module.startswith(f"{name}.")]
    return max(names, key=len, default=f"(no room for {module})")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether inside a function) for every import anywhere in a file, also those for type checkers."""
    tree = ast.parse(path.read_text())
    inside = {id(node) for outer in ast.walk(tree) if isinstance(outer, FUNCTIONS) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its arrow"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if _is_module(whole) else str(node.module), id(node) in inside


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return name.startswith("service.") and (path.with_suffix(".py").is_file() or path.is_dir())


def ours(path: Path) -> Iterator[tuple[str, bool]]:
    """(room, whether inside a function) of what a file imports from the house."""
    for name, inside in imports(path):
        if name == "service":
            yield "__init__", inside
        elif name.startswith("service."):
            yield room(name.removeprefix("service.")), inside


def test_every_module_is_in_a_room_and_every_room_has_modules() -> None:
    rooms = {room(dotted(path)) for path in MODULES}
    assert rooms == set(ARROWS)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_follow_the_arrows(path: Path) -> None:
    mine = room(dotted(path))
    allowed = {mine, "__init__"} | ARROWS[mine]
    assert {there for there, _ in ours(path)} - allowed == set()


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_what_starts_slowly_is_imported_by_the_function_that_starts_it(path: Path) -> None:
    slow = ONLY_INSIDE_FUNCTIONS.get(room(dotted(path)), set())
    assert {there for there, inside in ours(path) if not inside} & slow == set()


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_each_library_comes_through_its_door(path: Path) -> None:
    mine = dotted(path)
    foreign = {name.partition(".")[0] for name, _ in imports(path)} - sys.stdlib_module_names - {"service"}
    through = {name for name in foreign for door in DOORS.get(name, ()) if f"{mine}.".startswith(f"{door}.")}
    assert foreign - through == set()


def test_every_door_is_used() -> None:
    used = {name.partition(".")[0] for path in MODULES for name, _ in imports(path)}
    assert {name for name in DOORS if name not in used} <= {"pydantic_settings", "aiosmtplib"}


@pytest.mark.parametrize("path", LIVING, ids=dotted)
def test_no_module_is_longer_than_250_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250


@pytest.mark.parametrize("path", LIVING, ids=dotted)
def test_no_function_is_longer_than_40_lines(path: Path) -> None:
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: length for name, length in lengths.items() if length > 40} == {}


#: What reads the wall clock: attribute -> the names it is read from.
CLOCKS = {
    "now": {"datetime"},
    "utcnow": {"datetime"},
    "today": {"datetime", "date"},
    "time": {"time"},
    "time_ns": {"time"},
    "localtime": {"time", "utils"},
    "gmtime": {"time"},
    "ctime": {"time"},
    "formatdate": {"utils"},
    "make_msgid": {"utils"},
}


@pytest.mark.parametrize("path", [path for path in MODULES if dotted(path) != "clock"], ids=dotted)
def test_only_the_clock_reads_the_wall_clock(path: Path) -> None:
    tree = ast.parse(path.read_text())
    reads = {
        f"{ast.unparse(node)} in line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value).rpartition(".")[2] in CLOCKS.get(node.attr, set())
    }
    taken = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "email.utils")
        for alias in node.names
        if alias.name in CLOCKS
    }
    assert reads | taken == set()


WATCHED_IMPORT = """
import importlib, logging, os, pkgutil, sys, threading
seen = []
def watch(event, arguments):
    writes = event == "open" and any(sign in str(arguments[1]) for sign in "wax+")
    if writes or event.startswith(("sqlite3.connect", "socket.", "subprocess.", "os.mkdir", "os.remove", "os.putenv")):
        seen.append((event, str(arguments[0])))
names = sys.argv[1:]
importlib.import_module("logging.config")
before = dict(os.environ), list(logging.root.handlers), threading.active_count()
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
after = dict(os.environ), list(logging.root.handlers), threading.active_count()
import structlog
assert seen == [], seen
assert before == after
assert not structlog.is_configured()
"""


def test_importing_every_module_has_no_effect(tmp_path: Path) -> None:
    """No engine, no settings, no log set-up, no file, no thread: the environment is nonsense and nobody minds."""
    skipped = ("__main__", "store.migrations.env")  # these are run, not imported
    names = ["service." + dotted(path) for path in LIVING if dotted(path) not in (*skipped, "__init__")]
    environment = {
        "PATH": "",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AFTERCARE_MODE": "nonsense",
        "AFTERCARE_DATABASE_URL": "nonsense://",
    }
    run = subprocess.run(
        [sys.executable, "-c", WATCHED_IMPORT, *names],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
