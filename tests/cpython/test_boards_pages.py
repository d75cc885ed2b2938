"""The pages about boards: their snippets run on MicroPython too, and what they list is what there is."""
import ast
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from test_docs import DOCS, ROOT, python_snippets

from board_modules import BIN, EXTENSIONS, needs
from board_table import FEATURES, is_stale

pytestmark = pytest.mark.once  # boards do not see the version of CPython

HERE = Path(__file__).parent
PAGES = sorted((DOCS / 'boards').glob('*.md'))
PATTERNS = ['keep', 'stop', 'serve_beside', 'serve_again', 'stay_connected', 'every']


@pytest.mark.parametrize('page', [page for page in PAGES if python_snippets(page)], ids=lambda page: page.stem)
def test_snippets_run_on_micropython(page, tmp_path):
    """test_docs.py runs them on CPython."""
    folder = tmp_path / 'files'
    shutil.copytree(DOCS / 'snippet_files', folder)
    snippets = [(not i or snippet.comment == 'new namespace', snippet.code)
                for i, snippet in enumerate(python_snippets(page))]
    (folder / 'snippets.json').write_text(json.dumps(snippets))
    result = subprocess.run(
        [BIN / 'micropython', '-X', 'heapsize=1M', HERE / 'boards_page.py', 'snippets.json'], cwd=folder, timeout=60,
        env={**os.environ, 'MICROPYPATH': f'.:{ROOT / "src"}:.frozen'}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, result.stdout


def functions_of(text):
    return {node.name: ast.dump(node) for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def test_what_is_advised_is_what_is_tested():
    tested = functions_of((HERE.parent / 'test_beside.py').read_text())
    advised = functions_of(''.join(snippet.code for snippet in python_snippets(DOCS / 'boards' / 'beside.md')))
    for name in PATTERNS:
        assert advised[name] == tested[name], name


def test_the_table_of_modules_is_up_to_date():
    assert not is_stale(), 'run tools/board_table.py'
    listed = {module for feature in FEATURES for module in needs(feature)}
    assert set(EXTENSIONS) <= listed, 'which feature needs this one?'
