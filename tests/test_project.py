"""The project as a newcomer meets it: a clean copy, the README's commands, nobody's own machine."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.pages import Background, Shell, free_port, marked_blocks, shape

ROOT = Path(__file__).parents[1]
UV = next((at for at in (ROOT / ".uv" / "bin" / "uv", Path(shutil.which("uv") or "-")) if at.is_file()), None)
# Set-up on a machine with an empty package cache downloads some 400 MB.
SETUP_S = 900

README_PORT = 8080


def git_status(folder: Path) -> str:
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name.decode() for name in listed.split(b"\0") if name]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last commit, cloned: what is not committed is not there."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    folder = tmp_path_factory.mktemp("copy") / "onhand"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    _give_machine_code(folder / "src")
    _give_console(folder)
    return folder


def _give_machine_code(copy: Path) -> None:  # the folder that the package is in
    """What was compiled here of the same source: that it compiles on a clean copy this very copy has shown, once, in
    two minutes. Numba takes code for current while its source has the time of its last change."""
    for source in (ROOT / "src").rglob("*.py"):
        there = copy / source.relative_to(ROOT / "src")
        kept = list((source.parent / "__pycache__").glob(f"{source.stem}.*.nb[ic]"))
        if kept and there.is_file() and there.read_bytes() == source.read_bytes():
            os.utime(there, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
            (there.parent / "__pycache__").mkdir(exist_ok=True)
            for file in kept:
                shutil.copy2(file, there.parent / "__pycache__")


def _give_console(copy: Path) -> None:
    """The console as it was built here. The build takes it for current only if it is of these very sources."""
    built = Path("src/onhand/api/console")
    if (ROOT / built).is_dir():
        shutil.copytree(ROOT / built, copy / built)


@pytest.fixture
def newcomer(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody without any setting of ours, and a home that is not yours."""
    env = {
        name: value
        for name, value in os.environ.items()
        # This test may itself run under make and in our own environment.
        if not name.startswith(("ONHAND_", "MAKE")) and name not in {"VIRTUAL_ENV", "PYTHONPATH", "UV", "TEST_ARGS"}
    }
    paths = [p for p in env["PATH"].split(os.pathsep) if not Path(p).is_relative_to(ROOT)]
    return env | {
        "PATH": os.pathsep.join(paths),
        "ONHAND_HOME": str(tmp_path / "home"),
        # The test ends it with ctrl-C; by itself it ends only where nobody is left to do that.
        "DEMO_ARGS": f"--port {free_port()} --for {SETUP_S * 2}",
        "NO_COLOR": "1",
    }


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    programs = Background(tmp_path / "background.log", SETUP_S)
    yield programs
    try:
        programs.stop()
    finally:
        print(programs.told())  # pytest shows it when the test has failed


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's tour is made of curl calls")
@pytest.mark.timeout(SETUP_S * 2)
def test_the_commands_of_the_readme_work_on_a_clean_copy(
    copy: Path, newcomer: dict[str, str], background: Background, tmp_path: Path
) -> None:
    blocks = marked_blocks((copy / "README.md").read_text("utf-8"))
    assert [b.how for b in blocks].count("background") == 1, "the README starts one demo"
    assert [b.how for b in blocks].count("run") >= 3, "the tour has a few calls"
    port = newcomer["DEMO_ARGS"].split()[1]
    printed = ""
    shell = Shell(tmp_path / "shell", copy, newcomer, SETUP_S)
    for block in blocks:
        text = block.text.replace(f":{README_PORT}", f":{port}")
        if block.how == "background":
            background.start(text, copy, newcomer, f"http://127.0.0.1:{port}/readyz")
        elif block.how == "answer":
            assert shape(json.loads(printed)) == shape(json.loads(text)), f"got {printed}"
        else:
            printed = shell.run(text)
    assert git_status(copy) == "", "the tour leaves nothing for git to see"


@pytest.mark.timeout(SETUP_S)
def test_make_fetches_uv_where_there_is_none(copy: Path, newcomer: dict[str, str]) -> None:
    """Debian's own Python refuses `pip install`; the Makefile must not need it."""
    subprocess.run(
        ["make", ".uv/bin/uv", "UV=.uv/bin/uv", f"PYTHON={sys.executable}"],
        cwd=copy,
        env=newcomer,
        check=True,
    )
    version = subprocess.run([copy / ".uv/bin/uv", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("uv ")
    assert git_status(copy) == "", "set-up leaves nothing for git to see"


@pytest.mark.parametrize("shell", [".ci/run"])
def test_shell_scripts_are_executable_and_stop_at_the_first_failure(shell: str) -> None:
    assert os.access(ROOT / shell, os.X_OK)
    assert "set -euo pipefail" in (ROOT / shell).read_text("utf-8")


# Written so that they do not match themselves.
PRIVATE = re.compile(r"/wor[k]/|/roo[t]/|[.]librar[y]/|BRIEF[.]m[d]|\bissues sho[w]\b")


def test_nothing_of_somebodys_machine_is_in_the_tree() -> None:
    found: list[str] = []
    for path in tracked_files():
        if not path.is_file():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # binary
        found += [f"{path.relative_to(ROOT)}: {m[0]}" for m in PRIVATE.finditer(text)]
    assert found == []


def test_make_lists_every_promised_target(newcomer: dict[str, str]) -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, env=newcomer, capture_output=True, text=True, check=True).stdout
    targets = {line.split()[0] for line in listed.splitlines() if line}
    assert {"setup", "demo", "test", "check", "bench", "golden", "docs"} <= targets


@pytest.fixture(scope="module")
def wheel(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last commit as a wheel."""
    if UV is None or not (copy / "src/onhand/api/console/index.html").is_file():
        pytest.skip("THE WHEEL IS NOT TESTED: no uv, or no console was built: `make setup`")
    folder = tmp_path_factory.mktemp("wheel")
    env = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    command = [UV, "build", "--quiet", "--wheel", "--out-dir", folder]
    subprocess.run(command, cwd=copy, env=env, timeout=SETUP_S, check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_a_wheel_brings_the_console_built(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "onhand/api/console/index.html" in names
    assert any(name.startswith("onhand/api/console/assets/index-") for name in names)
    assert not any(name.endswith((".ts", ".tsx")) for name in names)


@pytest.fixture
def installed(wheel: Path, newcomer: dict[str, str], tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """(the command, its environment) of a wheel in an environment of its own, on a machine without Node.js.

    What onhand depends on is what is installed here, so that nothing is fetched; onhand itself is of the wheel.
    """
    assert UV is not None
    home = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    command = [
        UV,
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--link-mode",
        "copy",
        "--python",
        home,
        wheel,
    ]
    subprocess.run(command, env=newcomer, check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    # A folder that such a file names brings no such files of its own: the checkout, which one names, stays out.
    (packages / "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _give_machine_code(packages)
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in os.defpath.split(os.pathsep):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if program.name not in {"node", "nodejs", "npm", "npx"} and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    return home / "bin" / "onhand", newcomer | {"PATH": f"{home / 'bin'}{os.pathsep}{programs}"}


@pytest.mark.timeout(SETUP_S)
def test_a_wheel_alone_shows_its_demo_in_a_browser(
    installed: tuple[Path, dict[str, str]], background: Background, tmp_path: Path
) -> None:
    chromium = os.environ.get("ONHAND_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("THE WHEEL IS NOT TESTED IN A BROWSER: no Chromium; say where it is in ONHAND_CHROMIUM")
    onhand, env = installed
    env |= {"ONHAND_ADMIN_KEY": "key-of-the-test-of-the-wheel"}
    assert shutil.which("node", path=env["PATH"]) is None
    where = [onhand.parent / "python", "-c", "import onhand; print(onhand.__file__)"]
    found = subprocess.run(where, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(onhand.parents[1]), "onhand is of the wheel"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = f"{onhand} demo --port {port} --scenario viral_item --for {SETUP_S}"
    background.start(command, tmp_path, env, f"{url}/readyz")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        trouble: list[str] = []
        page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.add_init_script(f"sessionStorage.setItem('onhand.key', {env['ONHAND_ADMIN_KEY']!r})")
        page.goto(url)
        expect(page.locator("main h1")).to_have_text("Control tower")
        rate = page.locator(".stat .value").first
        expect(rate).to_have_text(re.compile(r"^(?!0 )[\d.,]+ a second$"), timeout=60_000)
        # The story begins when the world does.
        page.reload()
        expect(page.locator("#story h3")).to_have_text("Day 0: An ordinary week", timeout=60_000)
        page.get_by_role("button", name="Next chapter").click()
        expect(page.locator("#story h3")).to_have_text(re.compile("^Day 5: "), timeout=60_000)
        browser.close()
    assert trouble == []
