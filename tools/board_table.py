"""Write the table of modules in docs/boards/installing.md from their imports; ``--check`` fails where it is stale."""
import argparse
import ast
import re
import sys

from board_modules import PACKAGE, ROOT, imported_names, needs, reached

PAGE = ROOT / 'docs' / 'boards' / 'installing.md'
#: The table stands between these two comments.
TABLE = re.compile(r'(?<=^% modules begin\n)(.*?)(?=^% modules end$)', re.MULTILINE | re.DOTALL)
HEAD = '''
| you want | modules in `/lib/microdot` | standard modules |
|---|---|---|
'''
#: The modules of MicroPython. What else the sources import is for CPython.
MICROPYTHON = {'asyncio', 'binascii', 'collections', 'deflate', 'errno', 'gc', 'hashlib', 'io', 'json', 'os', 'random',
               're', 'select', 'socket', 'ssl', 'struct', 'sys', 'time'}
#: What each module that applications import is for.
FEATURES = {
    'files': 'directories of [files](../files.md), conditions and ranges',
    'multipart': 'forms with files: [uploads](../uploads.md)',
    'utemplate': '[templates](../templates.md) of utemplate, which is installed apart',
    'websocket': '[WebSocket](../websocket.md)',
    'sse': '[Server-Sent Events](../sse.md)',
    'session': '[sessions](../sessions.md)',
    'login': 'people who [log in](../logins.md)',
    'password': 'hashes of [passwords](../logins.md)',
    'auth': 'names and passwords, or tokens, [with each request](../auth.md)',
    'cors': 'pages of [other sites](../cors.md)',
    'csrf': 'no forms of [other sites](../csrf.md)',
    'test_client': 'the [test client](../testing.md)',
}


def standard_modules(modules: list[str]) -> set[str]:
    """Return the modules of MicroPython that some modules of the package import, wherever in their text."""
    found: set[str] = set()
    for module in modules:
        for node in reached(ast.parse((PACKAGE / f'{module}.py').read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                found.add(next(imported_names(node)).partition('.')[0])
    return found & MICROPYTHON


def code(names: 'set[str] | list[str]') -> str:
    return ', '.join(f'`{name}`' for name in sorted(names))


def render() -> str:
    """Return the table."""
    core = needs()
    standard = standard_modules(core)
    rows = [f'| routes, requests, responses, the server: the core | {code(core)} | {code(standard)} |']
    for module, feature in FEATURES.items():
        modules = needs(module)
        beside = code(standard_modules(modules) - standard)
        rows.append(f'| {feature} | and {code(set(modules) - set(core))} | {"and " if beside else ""}{beside} |')
    return HEAD + '\n'.join(rows) + '\n\n'


def is_stale() -> bool:
    found = TABLE.search(PAGE.read_text())
    return found is None or found[0] != render()


def main() -> int:
    parser = argparse.ArgumentParser(description='Write the table of modules of the documentation.')
    parser.add_argument('--check', action='store_true', help='compare it instead')
    if parser.parse_args().check:
        stale = is_stale()
        print('Run tools/board_table.py' if stale else 'The table of modules is up to date.')
        return int(stale)
    PAGE.write_text(TABLE.sub(lambda _: render(), PAGE.read_text()))
    return 0


if __name__ == '__main__':
    sys.exit(main())
