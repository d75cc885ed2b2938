"""Run the portable tests on MicroPython in small heaps: ``python tests/run_small.py [kind...] [file...]``.

The kinds are those of ``KINDS``; without one, each is run. Every process has the heap of its kind and runs one file of
tests, or a part of one (see divide.py) where the heap does not hold all of it. A test that no process has passed is a
failure: the names are those that one process with a heap of 4 MB lists.

"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from divide import divide

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'tools'))

from footprint import CPYTHON_ONLY  # noqa: E402

PACKAGE = HERE.parent / 'src' / 'microdot'
ENGINES = HERE / 'engines'
BIN = Path(sys.executable).parent  # of the virtual environment, where its commands are
PROCESSES = 2
TIME_LIMIT = 300  # seconds, for each process
#: The tests of microdot.py and of what it imports by itself, but for test_wire.py: its rows, and the strict parser of
#: responses beside the core, need 512 KB.
CORE_TESTS = ('test_containers.py', 'test_request.py', 'test_response.py', 'test_microdot.py', 'test_server.py',
              'test_test_client.py')


@dataclass
class Kind:
    """A way to run tests.

    :param suffix: of the files: ``.py``, or ``.mpy`` as mpy-cross makes them.
    :param heap: in KB, with objects of 64 bits.
    :param part: characters of tests in one process.
    :param only: the files of tests, all if there are none.

    """
    suffix: str
    heap: int
    part: int
    only: tuple[str, ...] = ()


KINDS = {
    'source': Kind('.py', 512, 8_000),
    'mpy': Kind('.mpy', 512, 6_000),
    'core': Kind('.mpy', 128, 2_000, CORE_TESTS),
}


# What a board would have

def compile_or_copy(source: Path, target: Path, *options: str) -> None:
    """Put a module where it is to be, compiled if the target is an .mpy file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == '.mpy':
        subprocess.run([BIN / 'mpy-cross', *options, '-s', target.with_suffix('.py').name, '-o', target, source],
                       check=True)
    else:
        shutil.copy(source, target)


def make_package(folder: Path, suffix: str) -> None:
    """Fill a folder with what of the package boards can use, without asserts if it is compiled."""
    for path in [path for path in PACKAGE.glob('*.py') if path.name not in CPYTHON_ONLY]:
        compile_or_copy(path, (folder / path.name).with_suffix(suffix), '-O3')


def make_board(folder: Path, suffix: str) -> None:
    """Fill a folder with the package and with what the tests share."""
    make_package(folder / 'src' / 'microdot', suffix)
    for path in [*HERE.glob('*.py'), *ENGINES.rglob('*.py')]:
        if not path.name.startswith('test_') and path.name not in ('conftest.py', 'divide.py', 'run_small.py'):
            compile_or_copy(path, (folder / 'tests' / path.relative_to(HERE)).with_suffix(suffix))


def make_parts(folder: Path, path: Path, kind: Kind) -> list[Path]:
    """Write the parts of a file of tests, each into a folder of its own, since they have the same name."""
    parts = []
    for number, source in enumerate(divide(path.read_text(), kind.part), 1):
        part = folder / 'parts' / f'{path.stem}-{number}' / path.name
        part.parent.mkdir(parents=True)
        part.write_text(source)
        if kind.suffix == '.mpy':
            compile_or_copy(part, part.with_suffix('.mpy'))
            part.unlink()
        parts.append(part.with_suffix(kind.suffix))
    return parts


# Running

def micropython(folder: Path, heap: int, *arguments: str | Path) -> tuple[int, str]:
    """Run tests/run.py, return its exit status and its output."""
    command = [BIN / 'micropython', '-X', f'heapsize={heap}K', '-m', 'run', *arguments]
    try:
        result = subprocess.run(command, env={**os.environ, 'MICROPYPATH': f'{folder}/tests:.frozen'},
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired as exc:
        return -1, (exc.output or b'').decode(errors='replace') + f'\nnot finished after {TIME_LIMIT} seconds\n'
    return result.returncode, result.stdout.decode(errors='replace')


def names_in(output: str) -> list[str]:
    return re.findall(r'^TEST (\S+)$', output, re.MULTILINE)


def list_names(files: list[str]) -> list[str]:
    """Return the names of the tests, as an interpreter with room for all of them sees them."""
    with tempfile.TemporaryDirectory() as folder:
        make_board(Path(folder), '.py')
        status, output = micropython(Path(folder), 4096, '--list', *[str(HERE / name) for name in files])
    assert status == 0, output
    return names_in(output)


def run_kind(name: str, kind: Kind, files: list[str], names: list[str]) -> bool:
    """Run these files of tests in one kind, print what failed. Tells whether all tests with these names have passed."""
    files = [file for file in files if file in kind.only or not kind.only]
    stems = {Path(file).stem for file in files}
    missing = [test for test in names if test.partition('.')[0] in stems]
    count = len(missing)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(PROCESSES) as pool:
        board = Path(folder)
        make_board(board, kind.suffix)
        parts = [part for file in reversed(files) for part in make_parts(board, HERE / file, kind)]
        results = pool.map(lambda part: micropython(board, kind.heap, '--names', part), parts)
        for part, (status, output) in zip(parts, results, strict=True):
            if status != 0:
                print(f'--- {name}: {part.parent.name} in {kind.heap} KB, exit status {status}')
                print(re.sub(r'^TEST .*\n', '', output, flags=re.MULTILINE))
            for test in names_in(output):
                missing.remove(test)
    for test in missing:
        print(f'{name}: {test} did not pass')
    print(f'{name}: {count - len(missing)} of {count} tests passed on MicroPython from {kind.suffix} in {kind.heap} KB'
          f' ({len(parts)} processes, {time.monotonic() - begin:.0f} seconds)')
    return not missing


def main() -> int:
    parser = argparse.ArgumentParser(description='Run the portable tests on MicroPython in small heaps.')
    parser.add_argument('what', nargs='*', help='%s, or files of tests; all without any' % ', '.join(KINDS))
    what = parser.parse_args().what
    kinds = [name for name in what if name in KINDS] or list(KINDS)
    files = [Path(name).name for name in what if name not in KINDS]
    files = files or sorted(path.name for path in HERE.glob('test_*.py'))
    names = list_names(files)
    return 0 if all([run_kind(name, KINDS[name], files, names) for name in kinds]) and names else 1


if __name__ == '__main__':
    sys.exit(main())
