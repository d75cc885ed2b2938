"""What "make dist" finds in archives that are not as they should be. That good ones pass, "make dist" itself shows."""
import io
import tarfile
import zipfile

import pytest

import check_dist

pytestmark = pytest.mark.once  # boards do not see the version of CPython


@pytest.fixture
def known(monkeypatch):
    """A repository of few files."""
    files = {'src/microdot/__init__.py', 'src/microdot/py.typed', 'tests/test_a.py', 'Makefile'}
    monkeypatch.setattr(check_dist, 'git_files', lambda *patterns: {
        name for name in files if not patterns or name.startswith(patterns)})


def make_wheel(folder, *names):
    with zipfile.ZipFile(folder / 'a.whl', 'w') as archive:
        for name in [*names, 'microdot-1.dist-info/METADATA']:
            archive.writestr(name, '')
    return folder / 'a.whl'


def make_sdist(folder, *names):
    with tarfile.open(folder / 'a.tar.gz', 'w:gz') as archive:
        for name in [*names, 'PKG-INFO']:
            archive.addfile(tarfile.TarInfo('microdot-1/' + name), io.BytesIO())
    return folder / 'a.tar.gz'


def test_wheel(known, tmp_path):
    check_dist.check_wheel_files(make_wheel(tmp_path, 'microdot/__init__.py', 'microdot/py.typed'))


@pytest.mark.parametrize('names, message', [
    (['microdot/__init__.py'], r"missing \['microdot/py.typed'\], too many \[\]"),
    (['microdot/__init__.py', 'microdot/py.typed', 'tests/test_a.py'], r"too many \['tests/test_a.py'\]"),
])
def test_wheel_with_other_files(names, message, known, tmp_path):
    with pytest.raises(SystemExit, match=message):
        check_dist.check_wheel_files(make_wheel(tmp_path, *names))


def test_sdist(known, tmp_path):
    names = ['src/microdot/__init__.py', 'src/microdot/py.typed', 'tests/test_a.py', 'Makefile']
    check_dist.check_sdist_files(make_sdist(tmp_path, *names))
    with pytest.raises(SystemExit, match=r"missing \['Makefile'\]"):
        check_dist.check_sdist_files(make_sdist(tmp_path, *names[:3]))


def test_one_archive_of_each_kind(tmp_path):
    with pytest.raises(SystemExit, match='there are 0'):
        check_dist.only(tmp_path, '*.whl')
    wheel = make_wheel(tmp_path)
    assert check_dist.only(tmp_path, '*.whl') == wheel


def test_a_command_that_fails_is_told_with_its_output(tmp_path):
    with pytest.raises(SystemExit, match='cat .*no_such'):
        check_dist.run(tmp_path, 'cat', 'no_such')
