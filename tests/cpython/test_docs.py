"""Execute every Python snippet of the documentation.

The ```python blocks of a page run in order, in one namespace; the comment ``% new namespace`` before a block starts
a new one (``<!-- new namespace -->`` in README.md, which is not MyST). Functions ``test_*`` of a block are run too.
``app.run()`` and ``app.start_server()`` check their arguments and return at once. A page runs in a process of its own,
in a copy of ``docs/snippet_files``, where the files that snippets mention can be put.

A block in another language may say why it is not run, with ``% not executed: <reason>``. A Python block may not.

"""
import asyncio
import gc
import inspect
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / 'docs'
FOLDERS = [str(ROOT / 'src'), str(ROOT / 'tests' / 'engines')]  # that pages import from
TIME_LIMIT = 60  # seconds, for each page

OPENING = re.compile(r'^(?P<indent>\s*)(?P<fence>`{3,}|~{3,})\s*(?P<info>[^`]*)$')
COMMENT = re.compile(r'^\s*(?:%|<!--)\s*(?P<text>.*?)\s*(?:-->)?$')
#: How a Python block could be spelled so that it would not be run.
HIDDEN_PYTHON = re.compile(r'^(\{[a-z-]+\}\s*)?(py|python|python3|pycon|ipython)\b', re.I)


class Snippet(NamedTuple):
    language: str
    comment: str
    line: int  # of the first line of code, from 1
    code: str


def find_pages() -> 'list[Path]':
    pages = sorted(page for page in DOCS.rglob('*.md') if '_build' not in page.parts)
    return pages + [page for page in [ROOT / 'README.md'] if page.exists()]


def find_snippets(text: str) -> 'Iterator[Snippet]':
    """Yield all fenced blocks of a page. Directives such as {note} are looked into."""
    lines = text.splitlines()
    comment = ''
    i = 0
    while i < len(lines):
        opening = OPENING.match(lines[i])
        i += 1
        if opening and opening['info'] and not is_container(opening['info']):
            end = find_end(lines, i, opening['fence'])
            yield Snippet(opening['info'].strip(), comment, i + 1, textwrap.dedent('\n'.join(lines[i:end])) + '\n')
            i = end + 1
            comment = ''
        elif lines[i - 1].strip():
            comment = comment_of(lines[i - 1])


def is_container(info: str) -> bool:
    return info.startswith('{') and not info.startswith('{code') and not info.startswith('{sourcecode')


def find_end(lines: 'list[str]', start: int, fence: str) -> int:
    for i in range(start, len(lines)):
        line = lines[i].strip()
        if len(line) >= len(fence) and set(line) == {fence[0]}:
            return i
    raise ValueError(f'the block above line {start + 1} has no end')


def comment_of(line: str) -> str:
    comment = COMMENT.match(line)
    return comment['text'] if comment else ''


def python_snippets(page: Path) -> 'list[Snippet]':
    return [snippet for snippet in find_snippets(page.read_text()) if snippet.language == 'python']


# Tests

def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_there_are_snippets() -> None:
    assert any(python_snippets(page) for page in find_pages()), 'no page has a Python snippet'


@pytest.mark.parametrize('page', find_pages(), ids=name_of)
def test_no_python_is_exempt(page: Path) -> None:
    for snippet in find_snippets(page.read_text()):
        where = f'{name_of(page)}:{snippet.line}'
        if snippet.language != 'python':
            assert not HIDDEN_PYTHON.match(snippet.language), f'{where}: tag this block "python", so that it is run'
        if snippet.comment.startswith('not executed'):
            assert snippet.language != 'python', f'{where}: Python is always executed'
            assert re.match(r'not executed: \S', snippet.comment), f'{where}: a reason is needed'
            print(where, snippet.comment)


@pytest.mark.parametrize('page', [page for page in find_pages() if python_snippets(page)], ids=name_of)
def test_snippets_run(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'files'
    if (DOCS / 'snippet_files').exists():
        shutil.copytree(DOCS / 'snippet_files', folder)
    folder.mkdir(exist_ok=True)
    certificate = trustme.CA().issue_cert('localhost')
    certificate.cert_chain_pems[0].write_to_path(folder / 'cert.pem')
    certificate.private_key_pem.write_to_path(folder / 'key.pem')
    result = subprocess.run([sys.executable, '-W', 'error', __file__, str(page)], cwd=folder, timeout=TIME_LIMIT,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, 'PYTHONPATH': os.pathsep.join(FOLDERS)})
    assert result.returncode == 0, result.stdout


# What runs in the process of a page

class ServerDouble:
    """What ``start_server(start_serving=False)`` returns."""

    async def serve_forever(self) -> None: ...

    def close(self) -> None: ...

    async def wait_closed(self) -> None: ...


def replace_servers(calls: 'list[inspect.BoundArguments]') -> None:
    """Let Microdot.run() and start_server() note their arguments, and return instead of serving."""
    from microdot import Microdot

    run_signature = inspect.signature(Microdot.run)
    start_signature = inspect.signature(Microdot.start_server)

    def run(*args: 'Any', **kwargs: 'Any') -> None:
        calls.append(run_signature.bind(*args, **kwargs))

    async def start_server(*args: 'Any', **kwargs: 'Any') -> 'ServerDouble | None':
        call = start_signature.bind(*args, **kwargs)
        calls.append(call)
        return None if call.arguments.get('start_serving', True) else ServerDouble()

    Microdot.run = run
    Microdot.start_server = start_server


def collect_unraisable() -> 'list[Any]':
    """Return a list of what goes wrong where no exception can be raised, such as a coroutine that is not awaited."""
    found: 'list[Any]' = []

    def note(unraisable: 'Any') -> None:
        sys.__unraisablehook__(unraisable)
        found.append(unraisable.exc_value)

    sys.unraisablehook = note
    return found


def run_tests(functions: 'list[Any]') -> int:
    for function in functions:
        result = function()
        if inspect.iscoroutine(result):
            asyncio.run(result)
    return len(functions)


def run_page(page: Path) -> None:
    unraisable = collect_unraisable()
    calls: 'list[inspect.BoundArguments]' = []
    replace_servers(calls)
    namespace: 'dict[str, Any]' = {}
    tests = 0
    for snippet in python_snippets(page):
        if not namespace or snippet.comment == 'new namespace':
            namespace = {'__name__': '__main__', '__file__': str(page)}
        before = dict(namespace)
        # the empty lines make tracebacks name the line of the page
        exec(compile('\n' * (snippet.line - 1) + snippet.code, page, 'exec'), namespace)
        tests += run_tests([value for name, value in namespace.items()
                            if name.startswith('test_') and before.get(name) is not value])
    namespace.clear()
    gc.collect()
    assert not unraisable, unraisable
    print(len(calls), 'servers started,', tests, 'tests run')


if __name__ == '__main__':
    sys.path[0] = '.'  # snippets import from their own folder, not from this one
    run_page(Path(sys.argv[1]))
