"""Divides a file of tests, for heaps that do not hold all of it. Needs CPython.

A part has some of the tests, and what those need of the rest of the file. What is left out becomes empty lines, so
that the numbers of the lines stay true.

"""
import ast


def divide(source: str, limit: int) -> list[str]:
    """Return the parts of a file. Each has tests of at most ``limit`` characters, but one test at least."""
    tree = ast.parse(source)
    lines = source.splitlines()
    parts: list[list[ast.stmt]] = []
    room = 0
    for test in tree.body:
        if is_test(test):
            size = sum(len(line) + 1 for line in lines[first_line(test) - 1:test.end_lineno])
            if size > room or not parts:
                parts.append([])
                room = limit
            parts[-1].append(test)
            room -= size
    return [keep(lines, tree, needed(tree, tests)) for tests in parts]


def is_test(node: ast.stmt) -> bool:
    """Tell whether this is a test, or a condition for tests."""
    if isinstance(node, ast.If):
        return any(is_test(child) for child in node.body)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith('test_')


def first_line(node: ast.stmt) -> int:
    decorators = getattr(node, 'decorator_list', [])
    return min([node.lineno, *[decorator.lineno for decorator in decorators]])


def needed(tree: ast.Module, tests: list[ast.stmt]) -> set[ast.stmt]:
    """Return these tests with the definitions and statements that they need, directly or not."""
    found = set(tests)
    while True:
        names = {name for node in found for name in used_names(node)}
        more = {node for node in tree.body if not is_test(node) and not names.isdisjoint(defined_names(node))
                or has_effects(node)}
        if more <= found:
            return found
        found |= more


def used_names(node: ast.stmt) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def defined_names(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition('.')[0] for alias in node.names}
    if isinstance(node, ast.If | ast.Try):
        return {name for child in ast.walk(node) if isinstance(child, ast.stmt) and child is not node
                for name in defined_names(child)}
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)}


def has_effects(node: ast.stmt) -> bool:
    """Tell whether a statement is there for what it does, such as ``sys.path.insert(...)``."""
    return isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)


def keep(lines: list[str], tree: ast.Module, kept: set[ast.stmt]) -> str:
    """Return the source with nothing but these statements of the module, on the lines where they are."""
    numbers = {number for node in kept for number in range(first_line(node), (node.end_lineno or node.lineno) + 1)}
    imports = {node.lineno: node for node in kept if isinstance(node, ast.ImportFrom)}
    names = {name for node in kept for name in used_names(node)}
    result = []
    for number, line in enumerate(lines, 1):
        if number in imports:
            result.append(only_names(imports[number], names))
        elif number in numbers and not any(node.lineno < number <= (node.end_lineno or 0) for node in imports.values()):
            result.append(line)
        else:
            result.append('')
    return '\n'.join(result) + '\n'


def only_names(node: ast.ImportFrom, names: set[str]) -> str:
    """Return an import of those of its names that are used."""
    aliases = [alias for alias in node.names if (alias.asname or alias.name) in names]
    return ast.unparse(ast.ImportFrom(node.module, aliases, node.level))
