"""Find what boards do not have, in the files that boards run: ``portable_lint.py [FILE...]``, by default all of them.

The common ground is that of CPython 3.10, MicroPython 1.29 (its unix port) and CircuitPython 9. What is said of
MicroPython is verified by running it (tests/cpython/test_portable_lint.py); CircuitPython can only be read about here.

Code that boards do not reach is not looked at, but for its syntax: ``if False:``, what is for CPython in an ``if`` of
``ON_MICROPYTHON``, and what follows an import that fails on boards, in a ``try`` with ``except ImportError``. Names may
also be tested for by ``hasattr(module, 'name')``, and by ``try`` with ``except NameError`` or ``AttributeError``.
For all else there is a comment, which covers the statement that it stands beside::

    raise ValueError() from exc  # portable: exception-chaining: CPython alone comes here

"""
import argparse
import ast
import builtins
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from board_modules import (
    CPYTHON_ONLY,
    PACKAGE,
    ROOT,
    catches_import_error,
    imported_names,
    is_type_checking,
    portable_sources,
)

#: Why each rule is there. Those of the first part are about syntax: boards cannot even read the file.
SYNTAX_RULES = {
    'syntax': 'CPython 3.10 cannot read the file',
    'match-statement': 'there is no match statement',
    'positional-only': 'there are no positional-only parameters',
    'unpack-in-display': 'nothing is unpacked in a tuple, list, set or dict; calls can do it',
    'async-comprehension': 'comprehensions neither await nor iterate asynchronously',
    'parenthesized-with': 'the context managers of "with" take no parentheses around them',
    'decorator-expression': 'a decorator is a dotted name, perhaps called',
    'named-escape': 'there are no names of characters in strings',
}
RULES = {
    **SYNTAX_RULES,
    'f-string-braces': 'braces in a string beside an f-string are taken for fields',
    'class-keyword': 'classes take no keywords, so there are no metaclasses',
    'async-generator': 'asynchronous generators are compiled to something else; write __aiter__ and __anext__',
    'missing-module': 'not every board has the module',
    'missing-name': 'the module does not have the name on every board',
    'missing-builtin': 'there is no such builtin',
    'missing-method': 'no builtin type has such a method or attribute',
    'circuitpython-name': 'CircuitPython has it by another name or not at all',
    'keyword-argument': 'functions and methods written in C take most arguments by position only',
    'codec': 'the only codec is UTF-8, its name is ignored, and errors are always raised',
    'delete-slice': 'bytearrays lose no items by "del"; assign an empty slice',
    'slice-step': 'strings, bytes and tuples have no slices with steps',
    'exception-chaining': 'exceptions are not chained; MicroPython prints a warning for each one',
    'function-attribute': 'functions have no attributes',
    'special-attribute': 'objects do not have the attribute',
    'special-method': 'the method is never called',
    'type-expression': 'types are neither joined with "|" nor subscripted at run time',
    'regex-escape': 'the only classes are \\d \\s \\w \\D \\S \\W; any other letter or digit stands for itself',
    'regex-group': 'groups are (...) or (?:...): no names, flags, comments, looking ahead or behind',
    'regex-count': '{n} is taken literally, and nothing can be repeated possessively',
    'regex-class': 'a "]" is escaped in a class, also as its first character',
    'regex-dot': '"." matches the end of a line too; write [^\\n] with a real newline',
    'regex-non-ascii': 'patterns are matched byte by byte',
    'regex-flags': 'flags are ignored',
    'unused-comment': 'the comment allows nothing',
    'bad-comment': 'it is "# portable: rule: reason"',
}

#: The modules of all three, with what they have in common. A module that is not here is for one of them.
MODULES = {
    'asyncio': 'CancelledError Event Lock StreamReader StreamWriter Task TimeoutError create_task current_task gather '
               'get_event_loop new_event_loop open_connection run sleep start_server wait_for',
    'array': 'array',
    'binascii': 'a2b_base64 b2a_base64 hexlify unhexlify',
    'collections': 'OrderedDict deque namedtuple',
    'errno': 'EACCES EADDRINUSE EAGAIN EALREADY EBADF ECONNABORTED ECONNREFUSED ECONNRESET EEXIST EHOSTUNREACH '
             'EINPROGRESS EINVAL EIO EISDIR ENOBUFS ENODEV ENOENT ENOMEM ENOTCONN EOPNOTSUPP EPERM ETIMEDOUT errorcode',
    'gc': 'collect disable enable isenabled mem_alloc mem_free',  # the last two are for boards
    'hashlib': 'md5 sha1 sha256',
    'io': 'BytesIO IOBase StringIO open',
    'json': 'dump dumps load loads',
    'math': 'acos asin atan atan2 ceil copysign cos degrees e exp fabs floor fmod frexp inf isfinite isinf isnan ldexp '
            'log modf nan pi pow radians sin sqrt tan trunc',
    'os': 'chdir getcwd getenv listdir mkdir remove rename rmdir sep stat statvfs unlink urandom',
    'random': 'choice getrandbits randint random randrange seed uniform',
    're': 'compile match search sub',
    'select': 'POLLERR POLLHUP POLLIN POLLOUT poll',
    'struct': 'calcsize pack pack_into unpack unpack_from',
    'sys': 'argv byteorder exit implementation maxsize modules path platform stderr stdin stdout version version_info',
    'time': 'gmtime localtime mktime sleep time',
}
#: What examples may import, which are for one kind of board, and what the user writes for them.
EXAMPLE_MODULES = {'dht', 'machine', 'network', 'wifi_settings'}
#: The examples for boards.
EXAMPLES = ('examples/hello/hello.py', 'examples/gpio/*.py', 'examples/weather/*.py')
#: What the table of modules has for MicroPython, and what CircuitPython has instead.
CIRCUITPYTHON = {
    'hashlib.md5': 'nothing',
    'hashlib.sha1': "hashlib.new('sha1')",
    'hashlib.sha256': "hashlib.new('sha256')",
    'time.gmtime': 'time.localtime',
}
#: Modules that are where a name is not: in the "else" of a test for it.
ELSE = {'sys.print_exception': 'traceback'}
#: All builtins of MicroPython that CPython has too.
BUILTINS = set("""
    ArithmeticError AssertionError AttributeError BaseException EOFError Ellipsis Exception GeneratorExit ImportError
    IndentationError IndexError KeyError KeyboardInterrupt LookupError MemoryError NameError NotImplemented
    NotImplementedError OSError OverflowError RuntimeError StopAsyncIteration StopIteration SyntaxError SystemExit
    TypeError UnicodeError ValueError ZeroDivisionError __build_class__ __import__ __name__ abs all any bin bool
    bytearray bytes callable chr classmethod compile complex delattr dict dir divmod enumerate eval exec filter float
    frozenset getattr globals hasattr hash help hex id input int isinstance issubclass iter len list locals map max
    memoryview min next object oct open ord pow print property range repr reversed round set setattr slice sorted
    staticmethod str sum super tuple type zip
""".split())
#: Methods and attributes of builtin types of CPython that no type of MicroPython has.
METHODS = set("""
    as_integer_ratio bit_count bit_length capitalize casefold conjugate expandtabs format_map isalnum isascii isdecimal
    isidentifier isnumeric isprintable istitle is_integer ljust maketrans removeprefix removesuffix rjust swapcase title
    translate zfill findall finditer fullmatch groupdict groupindex groups lastgroup lastindex span subn add_note
    strerror with_traceback
""".split())
SPECIAL_ATTRIBUTES = set("""
    __annotations__ __cause__ __closure__ __code__ __context__ __defaults__ __doc__ __func__ __kwdefaults__ __mro__
    __self__ __signature__ __subclasses__ __suppress_context__ __traceback__ __wrapped__
""".split())
SPECIAL_METHODS = set("""
    __await__ __bytes__ __class_getitem__ __del__ __format__ __getattribute__ __index__ __init_subclass__ __missing__
""".split())
#: Functions and methods of which MicroPython takes no argument by its name.
BY_POSITION = set("""
    bool bytearray bytes chr complex decode divmod encode endswith find float frozenset getattr int isinstance
    issubclass iter join len list lstrip next ord partition pow range replace repr rfind round rpartition rsplit rstrip
    set split startswith str strip sub sum tuple zip
""".split())
TYPES = {'bool', 'bytearray', 'bytes', 'dict', 'float', 'frozenset', 'int', 'list', 'set', 'str', 'tuple', 'type'}
UTF8 = {'utf-8', 'utf8'}
#: Of a pattern: an escape, a class, the begin of a group, a count, something possessive, or one character.
PARTS = re.compile(r'\\.|\[\^?(?:\]|\\.|[^\]\\])(?:\\.|[^\]\\])*\]|\(\??|\{\d*,?\d*\}|[*+?}]\+|.', re.DOTALL)
COMMENT = re.compile(r'# portable:\s*([a-z0-9-]*):?\s*(.*)')


class Finding(NamedTuple):
    line: int
    rule: str
    detail: str


# What a file has beside its code

class Allowance:
    """A comment that allows what a rule forbids, for the statement beside it."""

    def __init__(self, line: int, rule: str, reason: str) -> None:
        self.line, self.rule, self.reason = line, rule, reason
        self.is_used = False


def read_tokens(source: str) -> list[tokenize.TokenInfo]:
    return list(tokenize.generate_tokens(io.StringIO(source).readline))


def allowances(tokens: list[tokenize.TokenInfo]) -> 'Iterator[Allowance]':
    for token in tokens:
        if token.type == tokenize.COMMENT and (match := COMMENT.search(token.string)):
            yield Allowance(token.start[0], match[1], match[2])


def is_string(token: tokenize.TokenInfo) -> bool:
    return token.type == tokenize.STRING or tokenize.tok_name[token.type].startswith('FSTRING_')


def is_f_string(token: tokenize.TokenInfo) -> bool:
    prefix = token.string.partition('"')[0].partition("'")[0]
    return token.type != tokenize.STRING or 'f' in prefix.lower()


def check_strings(tokens: list[tokenize.TokenInfo]) -> 'Iterator[Finding]':
    """Find what is seen only in the text: the syntax tree has joined strings and replaced escapes."""
    previous = None
    for token in tokens:
        if token.type in (tokenize.NL, tokenize.COMMENT):
            continue
        if is_string(token) and r'\N{' in token.string and 'r' not in token.string[:2].lower():
            yield Finding(token.start[0], 'named-escape', token.string)
        if previous is not None and is_string(token) and is_string(previous) and is_joined(previous, token):
            yield Finding(token.start[0], 'f-string-braces', previous.string + ' ' + token.string)
        previous = token


def is_joined(left: tokenize.TokenInfo, right: tokenize.TokenInfo) -> bool:
    plain = [token for token in (left, right) if not is_f_string(token)]
    return len(plain) == 1 and re.search('[{}]', plain[0].string) is not None


# Regular expressions

def check_regex(pattern: str) -> 'Iterator[tuple[str, str]]':
    """Yield rules that a pattern breaks, with the part that breaks them. The grammar is the one of re1.5."""
    parts = PARTS.findall(pattern)
    for part in parts:
        if part.startswith('['):
            yield from check_class(part)
        elif re.fullmatch(r'\\[0-9A-Za-z]', part) and part[1] not in 'dswDSW':
            yield 'regex-escape', part
        elif part == '.':
            yield 'regex-dot', part
        elif part.startswith('{') and len(part) > 2 or re.fullmatch(r'[*+?}]\+', part):
            yield 'regex-count', part
    for group in re.findall(r'(?<!\\)(?:\\\\)*\(\?(?!:).{1,2}', without_classes(parts), re.DOTALL):
        yield 'regex-group', group


def check_class(text: str) -> 'Iterator[tuple[str, str]]':
    if text.startswith(('[]', '[^]')):
        yield 'regex-class', text
    for escape in re.findall(r'\\.', text):
        if escape[1].isalnum() and escape[1] not in 'dswDSW':
            yield 'regex-escape', escape


def without_classes(parts: list[str]) -> str:
    return ''.join('x' if part.startswith('[') else part for part in parts)


# The syntax tree

def is_name(node: 'ast.AST | None', *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def says_micropython(node: ast.AST) -> 'bool | None':
    """Return what a condition says of boards: they go in, they do not, or nothing."""
    if is_name(node, 'ON_MICROPYTHON'):
        return True
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        says = says_micropython(node.operand)
        return None if says is None else not says
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        # of "not ON_MICROPYTHON and x" boards make False, of "ON_MICROPYTHON and x" anything
        return False if any(says_micropython(value) is False for value in node.values) else None
    return None


def caught_names(node: ast.Try) -> set[str]:
    types = [handler.type for handler in node.handlers if handler.type is not None]
    return {name.id for caught in types for name in ast.walk(caught) if isinstance(name, ast.Name)}


def tested_names(node: ast.AST) -> set[str]:
    """Return ``{'sys.name'}`` for ``hasattr(sys, 'name')``, wherever in a condition."""
    names = set()
    for call in ast.walk(node):
        match call:
            case ast.Call(func=ast.Name('hasattr'), args=[ast.Name(module), ast.Constant(str(name))]):
                names.add(f'{module}.{name}')
    return names


def required_names(node: ast.AST) -> set[str]:
    """Return the names that are there where ``not hasattr(...)`` is not true."""
    parts = node.values if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) else [node]
    return {name for part in parts if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not)
            for name in tested_names(part)}


def is_missing_module(name: str) -> bool:
    """Do some boards lack it? Of our own modules, those for CPython."""
    if name.partition('.')[0] == 'microdot':
        return name.partition('.')[2] + '.py' in CPYTHON_ONLY
    return name not in MODULES


def bound_names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Return the names of all functions, and all other names that a file gives to something."""
    functions, others = set(), set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                functions.add(name)
            case ast.ClassDef(name) | ast.arg(name) | ast.Name(name, ast.Store()):
                others.add(name)
            case ast.alias(name, other):
                others.add(other or name.partition('.')[0])
    return functions, others


class Constants(ast.NodeVisitor):
    """Strings that a module gives a name once, to know the patterns made of them."""

    def __init__(self, tree: ast.AST) -> None:
        self.values: dict[str, str] = {}
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=[ast.Name(name)]):
                    value = self.text(node.value)
                    if value is not None and name not in self.values:
                        self.values[name] = value

    def text(self, node: ast.AST) -> 'str | None':
        """Return the text of a string or bytes, or ``None`` where it is not known before the program runs."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Constant(value=bytes(data)):
                return data.decode('latin-1')
            case ast.Name(name):
                return self.values.get(name)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                one, other = self.text(left), self.text(right)
                return None if one is None or other is None else one + other
        return None

    def is_bytes(self, node: ast.AST) -> bool:
        return any(isinstance(child, ast.Constant) and isinstance(child.value, bytes) for child in ast.walk(node))


class Checker(ast.NodeVisitor):
    """Walks through one file. ``findings`` are all that it found, also what comments allow."""

    def __init__(self, tree: ast.Module, source: str, others: 'Iterable[str]') -> None:
        self.source = source.splitlines()
        self.others = others  # modules that will be there, too
        self.constants = Constants(tree)
        self.findings: list[Finding] = []
        self.is_reached = True  # by boards
        self.known: set[str] = set()  # "module.name" and builtins for which the code has tested
        self.aliases: dict[str, str] = {}  # of modules
        self.functions, others = bound_names(tree)
        self.bound = self.functions | others  # by the file, so they are no builtins
        self.functions -= others

    def report(self, node: ast.AST, rule: str, detail: str = '') -> None:
        if self.is_reached or rule in SYNTAX_RULES:
            line = getattr(node, 'lineno', 1)
            self.findings.append(Finding(line, rule, detail or self.source[line - 1].strip()))

    def visit_all(self, nodes: 'Sequence[ast.AST]', is_reached: bool = True, known: 'Iterable[str]' = ()) -> None:
        before = self.is_reached, self.known
        self.is_reached, self.known = self.is_reached and is_reached, self.known.union(known)
        for node in nodes:
            self.visit(node)
            if isinstance(node, ast.If) and isinstance(node.body[-1], (ast.Return, ast.Raise, ast.Continue)):
                # boards go no further, or no board without the name does
                self.is_reached = self.is_reached and says_micropython(node.test) is not True
                self.known = self.known.union(required_names(node.test))
        self.is_reached, self.known = before

    # What boards do not reach

    def visit_If(self, node: ast.If) -> None:
        self.visit_branches(node, node.body, node.orelse)

    visit_While = visit_If  # type: ignore[assignment]

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit_branches(node, [node.body], [node.orelse])

    def visit_branches(self, node: 'ast.If | ast.IfExp', body: 'Sequence[ast.AST]', other: 'Sequence[ast.AST]') -> None:
        says, names = says_micropython(node.test), tested_names(node.test)
        self.visit(node.test)
        self.visit_all(body, says is not False and not is_type_checking(node), names)
        self.visit_all(other, says is not True, ['import ' + ELSE[name] for name in names & ELSE.keys()])

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        # "ON_MICROPYTHON or x" and "not ON_MICROPYTHON and x" end before x on boards
        stop = isinstance(node.op, ast.Or)
        is_reached, known = True, set[str]()
        for value in node.values:
            self.visit_all([value], is_reached, known)
            is_reached = is_reached and says_micropython(value) is not stop
            known = known | (tested_names(value) if not stop else set())

    def visit_Try(self, node: ast.Try) -> None:
        forgiven = {'AttributeError', 'NameError'} & caught_names(node)
        is_reached, tried = True, set[str]()
        for statement in node.body:
            if catches_import_error(node):
                is_reached = is_reached and not any(map(self.is_missing, self.imports_of(statement)))
                tried.update(imported_names(statement))
            self.visit_all([statement], is_reached, ['*'] if forgiven else tried)
        self.visit_all(node.handlers, known=['import ' + ELSE[name] for name in tried & ELSE.keys()])
        self.visit_all(node.orelse, is_reached)
        self.visit_all(node.finalbody)

    def imports_of(self, statement: ast.stmt) -> list[str]:
        return [name for name in imported_names(statement) if not isinstance(statement, ast.ImportFrom)
                or name == statement.module or name.startswith('microdot.')]

    # Modules and names

    def is_missing(self, module: str) -> bool:
        return module not in self.others and 'import ' + module not in self.known and is_missing_module(module)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.aliases[alias.asname or alias.name.partition('.')[0]] = alias.name
            if self.is_missing(alias.name):
                self.report(node, 'missing-module', alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for name in self.imports_of(node):
            if self.is_missing(name):
                return self.report(node, 'missing-module', name)
        if node.module in MODULES:
            for alias in node.names:
                self.check_name(node, node.module, alias.name)

    def check_name(self, node: ast.AST, module: str, name: str) -> None:
        full = f'{module}.{name}'
        if full in self.known or '*' in self.known or name.startswith('__'):
            return
        if name not in MODULES[module].split():
            self.report(node, 'missing-name', full)
        elif full in CIRCUITPYTHON:
            self.report(node, 'circuitpython-name', f'{full}, which CircuitPython has as {CIRCUITPYTHON[full]}')

    def visit_Name(self, node: ast.Name) -> None:
        is_builtin = hasattr(builtins, node.id) and node.id not in self.bound
        if is_builtin and node.id not in BUILTINS and '*' not in self.known:
            self.report(node, 'missing-builtin', node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        module = self.aliases.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if module in MODULES:
            self.check_name(node, module, node.attr)
        elif isinstance(node.ctx, ast.Load) and '*' not in self.known:
            self.check_attribute(node)
        if not isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
            self.check_function_attribute(node, node.value.id)
        self.generic_visit(node)

    def check_attribute(self, node: ast.Attribute) -> None:
        is_own = node.attr in self.bound or is_name(node.value, 'self', 'cls')
        if node.attr in SPECIAL_ATTRIBUTES:
            self.report(node, 'special-attribute', node.attr)
        elif node.attr in METHODS and not is_own:
            self.report(node, 'missing-method', node.attr)

    def check_function_attribute(self, node: ast.AST, name: str) -> None:
        if (name in self.functions or name in ('f', 'func', 'function', 'handler')) and '*' not in self.known:
            self.report(node, 'function-attribute')

    # Functions and classes

    def visit_FunctionDef(self, node: 'ast.FunctionDef | ast.AsyncFunctionDef') -> None:
        if node.args.posonlyargs:
            self.report(node, 'positional-only', node.name)
        self.check_decorators(node)
        self.visit_all([*node.decorator_list, *node.args.defaults,
                        *(default for default in node.args.kw_defaults if default is not None)])
        self.visit_all(node.body)  # annotations cost nothing, and nobody evaluates them

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        if any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in own_nodes(node)):
            self.report(node, 'async-generator', node.name)
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        if node.args.posonlyargs:
            self.report(node, 'positional-only')
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if node.keywords:
            self.report(node, 'class-keyword', node.name)
        self.check_decorators(node)
        for statement in node.body:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement.name in SPECIAL_METHODS:
                self.report(statement, 'special-method', statement.name)
        self.generic_visit(node)

    def check_decorators(self, node: 'ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef') -> None:
        for decorator in node.decorator_list:
            dotted = decorator.func if isinstance(decorator, ast.Call) else decorator
            while isinstance(dotted, ast.Attribute):
                dotted = dotted.value
            if not isinstance(dotted, ast.Name):
                self.report(decorator, 'decorator-expression')

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit_all([node.target] if node.value is None else [node.target, node.value])

    # Statements

    def visit_Match(self, node: ast.Match) -> None:
        self.report(node, 'match-statement')
        self.generic_visit(node)

    def visit_With(self, node: 'ast.With | ast.AsyncWith') -> None:
        first = node.items[0]
        line = self.source[node.lineno - 1]
        begin = line.encode()[node.col_offset:].decode().partition('with')[2].lstrip()
        named = [item for item in node.items if item.optional_vars is not None]
        if begin.startswith('(') and named and self.is_parenthesized(node, first):
            self.report(node, 'parenthesized-with')
        self.generic_visit(node)

    visit_AsyncWith = visit_With

    def is_parenthesized(self, node: 'ast.With | ast.AsyncWith', first: ast.withitem) -> bool:
        """Does the parenthesis at the beginning end after a name given with "as"?"""
        lines = self.source[node.lineno - 1:node.body[0].lineno]
        text = '\n'.join(lines).partition('with')[2].lstrip()
        depth = 0
        for index, character in enumerate(text):
            depth += {'(': 1, ')': -1}.get(character, 0)
            if not depth:
                return re.search(r'\sas\s', text[:index]) is not None and text[index + 1:].lstrip()[:1] == ':'
        return False

    def visit_Raise(self, node: ast.Raise) -> None:
        if node.cause is not None and not (isinstance(node.cause, ast.Constant) and node.cause.value is None):
            self.report(node, 'exception-chaining')
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
                self.report(target, 'delete-slice')
        self.generic_visit(node)

    # Expressions

    def visit_Slice(self, node: ast.Slice) -> None:
        if node.step is not None and not (isinstance(node.step, ast.Constant) and node.step.value in (1, None)):
            self.report(node, 'slice-step')
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in TYPES - self.bound:
            self.report(node, 'type-expression')
        self.generic_visit(node)

    def visit_display(self, node: 'ast.List | ast.Tuple | ast.Set') -> None:
        is_read = isinstance(getattr(node, 'ctx', ast.Load()), ast.Load)
        if is_read and any(isinstance(element, ast.Starred) for element in node.elts):
            self.report(node, 'unpack-in-display')
        self.generic_visit(node)

    visit_List = visit_Tuple = visit_Set = visit_display

    def visit_Dict(self, node: ast.Dict) -> None:
        if None in node.keys:
            self.report(node, 'unpack-in-display')
        self.generic_visit(node)

    def visit_comprehension_of(self, node: 'ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp') -> None:
        inner = [child for child in own_nodes(node) if child is not node.generators[0].iter
                 and not contains(node.generators[0].iter, child)]
        if any(isinstance(child, ast.Await) for child in inner) or any(part.is_async for part in node.generators):
            self.report(node, 'async-comprehension')
        self.generic_visit(node)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_of

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, 'attr', '')
        keywords = [keyword.arg for keyword in node.keywords if keyword.arg]
        if keywords and name in BY_POSITION - self.bound:
            self.report(node, 'keyword-argument', f'{name}({keywords[0]}=)')
        if isinstance(node.func, ast.Name) and name == 'setattr' and node.args and isinstance(node.args[0], ast.Name):
            self.check_function_attribute(node, node.args[0].id)
        self.check_codec(node, name)
        self.check_union(node, name)
        self.check_pattern(node, name)
        self.generic_visit(node)

    def check_codec(self, node: ast.Call, name: str) -> None:
        is_method = name in ('decode', 'encode') and isinstance(node.func, ast.Attribute)
        is_type = is_name(node.func, 'str', 'bytes', 'bytearray')
        codecs = node.args[0 if is_method else 1:] if is_method or is_type else []
        if len(codecs) > 1:
            return self.report(node, 'codec', 'errors cannot be ignored or replaced')
        if codecs and isinstance(codecs[0], ast.Constant) and isinstance(codecs[0].value, str):
            if codecs[0].value.lower() not in UTF8:
                self.report(node, 'codec', codecs[0].value)

    def check_union(self, node: ast.Call, name: str) -> None:
        if is_name(node.func, 'isinstance', 'issubclass') and len(node.args) > 1:
            if any(isinstance(part, ast.BinOp) for part in ast.walk(node.args[1])):
                self.report(node, 'type-expression')

    def check_pattern(self, node: ast.Call, name: str) -> None:
        is_regex = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) \
            and self.aliases.get(node.func.value.id) == 're'
        if not is_regex or not node.args:
            return
        flags = node.args[{'compile': 1, 'match': 2, 'search': 2}.get(name, 9):]
        flags += [keyword.value for keyword in node.keywords if keyword.arg == 'flags']
        if any(not is_flag_of_cpython(flag) for flag in flags):
            self.report(node, 'regex-flags')
        pattern = self.constants.text(node.args[0])
        if pattern is None:
            return  # it is known only when the program runs, on both interpreters by the tests of the module
        if not pattern.isascii() and not self.constants.is_bytes(node.args[0]):
            self.report(node, 'regex-non-ascii', repr(pattern))
        for rule, part in check_regex(pattern):
            self.report(node, rule, f'{part!r} in {pattern!r}')


def is_flag_of_cpython(node: ast.AST) -> bool:
    """Is this ``getattr(re, 'S', 0)``, which is nothing on boards?"""
    return isinstance(node, ast.Call) and is_name(node.func, 'getattr') and len(node.args) == 3


def own_nodes(function: ast.AST) -> 'Iterator[ast.AST]':
    """Yield the nodes of a function or comprehension, but not those of functions in it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from own_nodes(child)


def contains(tree: ast.AST, node: ast.AST) -> bool:
    return any(child is node for child in ast.walk(tree))


# Files

def covered_lines(tree: ast.AST) -> dict[int, int]:
    """Return the last line of the statement that begins on a line, by that line."""
    last: dict[int, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.stmt, ast.excepthandler)):
            last[node.lineno] = max(last.get(node.lineno, 0), node.end_lineno or node.lineno)
    return last


def is_allowed(finding: Finding, comments: list[Allowance], last: dict[int, int]) -> bool:
    for comment in comments:
        if comment.rule == finding.rule and comment.line <= finding.line <= last.get(comment.line, comment.line):
            comment.is_used = True
            return True
    return False


def check_comments(comments: list[Allowance]) -> 'Iterator[Finding]':
    for comment in comments:
        if comment.rule not in RULES or not comment.reason:
            yield Finding(comment.line, 'bad-comment', f'{comment.rule}: {comment.reason}')
        elif not comment.is_used:
            yield Finding(comment.line, 'unused-comment', comment.rule)


def check_source(source: str, others: 'Iterable[str]' = ()) -> list[Finding]:
    """Return what one file has that boards do not have, besides these other modules."""
    try:
        tree = ast.parse(source, feature_version=(3, 10))
    except SyntaxError as exc:
        return [Finding(exc.lineno or 1, 'syntax', exc.msg)]
    tokens = read_tokens(source)
    checker = Checker(tree, source, others)
    checker.visit(tree)
    comments, last = list(allowances(tokens)), covered_lines(tree)
    findings = [finding for finding in [*check_strings(tokens), *checker.findings]
                if not is_allowed(finding, comments, last)]
    return sorted({*findings, *check_comments(comments)})


def other_modules(file: Path) -> set[str]:
    """Return what an example may import besides: what lies beside it, and what its board has."""
    return set() if file.parent == PACKAGE else {*(other.stem for other in file.parent.glob('*.py')), *EXAMPLE_MODULES}


def main() -> int:
    parser = argparse.ArgumentParser(description='Find what boards do not have.')
    parser.add_argument('files', nargs='*', type=Path, help='by default all that boards run')
    examples = [file for pattern in EXAMPLES for file in sorted(ROOT.glob(pattern))]
    files = parser.parse_args().files or [*portable_sources(), *examples]
    count = 0
    for file in files:
        for finding in check_source(file.read_text(), other_modules(file)):
            count += 1
            name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
            print(f'{name}:{finding.line}: {finding.rule}: {finding.detail} ({RULES[finding.rule]})')
    print(f'{count} found in {len(files)} files that boards run.')
    return 1 if count else 0


if __name__ == '__main__':
    sys.exit(main())
