"""The TypeScript SDK: its own checks, and the package as somebody who installs it finds it."""

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.typescript import SDK, node, npm, tour

pytestmark = pytest.mark.slow

SOURCES = (
    "src",
    "test",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "tsconfig.build.json",
    "README.md",
)
CONSUMER = {"private": True, "type": "module"}
RESOLUTIONS = (("nodenext", "nodenext"), ("esnext", "bundler"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the SDK's folder with its development packages."""
    folder = tmp_path_factory.mktemp("sdk") / "typescript"
    for name in SOURCES:
        copy = shutil.copytree if (SDK / name).is_dir() else shutil.copy2
        folder.mkdir(exist_ok=True)
        copy(SDK / name, folder / name)
    installed = npm(folder, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--loglevel=error")
    if installed.returncode != 0:
        pytest.skip(f"npm ci: {installed.stdout}{installed.stderr}"[:400])
    return folder


@pytest.fixture(scope="module")
def package(checkout: Path) -> Path:
    """What `npm pack` makes."""
    packed = npm(checkout, "pack", "--loglevel=error")
    assert packed.returncode == 0, packed.stdout + packed.stderr
    return checkout / packed.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def consumer(checkout: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has the package, and types of Node."""
    folder = tmp_path_factory.mktemp("consumer")
    (folder / "package.json").write_text(json.dumps(CONSUMER), encoding="utf-8")
    with tarfile.open(package) as archive:
        archive.extractall(folder / "node_modules", filter="data")
    (folder / "node_modules" / "package").rename(folder / "node_modules" / "agio-sdk")
    (folder / "node_modules" / "@types").symlink_to(checkout / "node_modules" / "@types")
    (folder / "node_modules" / "undici-types").symlink_to(checkout / "node_modules" / "undici-types")
    return folder


def test_types_and_tests(checkout: Path) -> None:
    checked = npm(checkout, "run", "--silent", "check")
    assert checked.returncode == 0, checked.stdout[-8000:] + checked.stderr


def test_the_package_holds_modules_types_and_sources_and_nothing_else(package: Path) -> None:
    with tarfile.open(package) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
    modules = {path.stem for path in (SDK / "src").glob("*.ts")}
    built = {
        f"dist/{name}{ending}" for name in modules for ending in (".js", ".js.map", ".d.ts", ".d.ts.map")
    }
    assert names == built | {f"src/{name}.ts" for name in modules} | {"package.json", "README.md"}


def test_the_package_needs_nothing_and_names_what_it_holds(consumer: Path) -> None:
    installed = consumer / "node_modules" / "agio-sdk"
    manifest = json.loads((installed / "package.json").read_text(encoding="utf-8"))
    assert not {"dependencies", "peerDependencies", "optionalDependencies"} & manifest.keys()
    assert (manifest["type"], manifest["sideEffects"], manifest["engines"]) == (
        "module",
        False,
        {"node": ">=22"},
    )
    for target in (manifest["main"], manifest["types"], *manifest["exports"]["."].values()):
        assert (installed / target).is_file()
    for module in installed.glob("dist/*.js"):
        imported = re.findall(r'from "([^"]+)"', module.read_text(encoding="utf-8"))
        assert all(re.fullmatch(r"\./\w+\.js", name) for name in imported)
        mapped = json.loads(module.with_suffix(".js.map").read_text(encoding="utf-8"))["sources"]
        assert all((module.parent / source).is_file() for source in mapped)


@pytest.mark.parametrize(("module", "resolution"), RESOLUTIONS)
def test_the_tour_fits_the_types(checkout: Path, consumer: Path, module: str, resolution: str) -> None:
    (consumer / "tour.ts").write_text(tour(), encoding="utf-8")
    compiler = checkout / "node_modules" / "typescript" / "bin" / "tsc"
    options = ["--noEmit", "--strict", "--target", "es2022", "--types", "node", "--lib", "es2022,dom"]
    if resolution == "bundler":
        options.append("--skipLibCheck")  # the other run has checked the declarations themselves
    compiled = subprocess.run(
        [node(), str(compiler), *options, "--module", module, "--moduleResolution", resolution, "tour.ts"],
        cwd=consumer,
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr


def test_the_package_can_be_imported(consumer: Path) -> None:
    program = (
        'import * as sdk from "agio-sdk"; console.log(new sdk.Agio({ url: "https://x", apiKey: "k" }).url)'
    )
    told = subprocess.run(
        [node(), "--input-type=module", "--eval", program],
        cwd=consumer,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.stdout, told.stderr) == ("https://x\n", "")


def test_the_lock_file_names_no_download_address() -> None:
    assert '"resolved"' not in (SDK / "package-lock.json").read_text(encoding="utf-8")
