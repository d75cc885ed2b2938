"""The lint for boards: what it finds and lets pass, and that MicroPython is as the rules say."""
import ast
import asyncio
import builtins
import contextlib
import io
import json
import subprocess
import sys

import pytest

import portable_lint
from board_modules import BIN, ROOT
from portable_lint import (
    BUILTINS,
    BY_POSITION,
    CIRCUITPYTHON,
    METHODS,
    MODULES,
    RULES,
    SPECIAL_ATTRIBUTES,
    SYNTAX_RULES,
    TYPES,
    check_source,
)

pytestmark = pytest.mark.once  # boards do not see the version of CPython

#: Programs, by the rule that each breaks. CPython runs them, MicroPython does not or prints something else.
BAD = {
    'match-statement': ['match 1:\n    case 1:\n        print(1)'],
    'positional-only': ['def f(a, /):\n    print(a)\nf(1)', 'print((lambda a, /: a)(1))'],
    'unpack-in-display': ['a = [1]\nprint([*a, 2])', 'a = [1]\nprint((*a, 2))', 'a = [1]\nb = *a, 2\nprint(b)',
                          'a = [1]\nprint({*a})', 'a = {1: 2}\nprint({**a})',
                          'def f(a):\n    return *a, 2\nprint(f([1]))'],
    'async-comprehension': ['async def f(a):\n    return [await b for b in a]\nprint(1)',
                            'async def f(a):\n    return {await b for b in a}\nprint(1)',
                            'async def f(a):\n    return [b async for b in a]\nprint(1)'],
    'parenthesized-with': ["with (open('/dev/null') as a):\n    print(1)",
                           "with (open('/dev/null') as a, open('/dev/null') as b):\n    print(1)",
                           "with (\n    open('/dev/null') as a,\n    open('/dev/null') as b,\n):\n    print(1)"],
    'class-keyword': ['class A(metaclass=type):\n    pass\nprint(1)'],
    'decorator-expression': ['def f(g):\n    return g\n@[f][0]\ndef g():\n    print(1)\ng()'],
    'named-escape': [r"print('\N{BULLET}')"],
    'f-string-braces': ["a = 1\nprint('{}' f'{a}')", "a = 1\nprint(f'{a}' '{}')",
                        "a = 1\nprint('b' '{}'\n      f'{a}')"],
    'async-generator': ["async def f():\n    yield 1\nprint(hasattr(f(), '__anext__'))"],
    'missing-module': [f'import {name}\nprint(1)' for name in (
        'functools', 'inspect', 'typing', 'enum', 'dataclasses', 'contextlib', 'hmac', 'weakref', 'logging',
        'importlib', 'traceback', 'types', 'abc', 'os.path', 'urllib.parse', 'collections.abc')] + [
        'from functools import wraps\nprint(1)', 'def f():\n    import functools\nf()\nprint(1)'],
    'missing-name': [f'import {module}\n{module}.{name}\nprint(1)' for module, name in (
        ('asyncio', 'Protocol'), ('asyncio', 'Queue'), ('asyncio', 'wait'), ('asyncio', 'to_thread'), ('os', 'path'),
        ('os', 'environ'), ('re', 'fullmatch'), ('re', 'findall'), ('re', 'finditer'), ('re', 'split'),
        ('re', 'escape'), ('time', 'monotonic'), ('hashlib', 'new'), ('io', 'TextIOWrapper'))] + [
        'from asyncio import Queue\nprint(1)', 'import asyncio as a\na.Queue\nprint(1)'],
    'missing-builtin': ["print(format(1, 'd'))", 'print(ascii(1))', 'ConnectionError\nprint(1)',
                        'TimeoutError\nprint(1)', 'ModuleNotFoundError\nprint(1)', 'UnicodeDecodeError\nprint(1)'],
    'missing-method': ["print('a b'.title())", "print('a'.removeprefix('a'))", "print('7'.zfill(2))",
                       "print('a'.ljust(2))", 'print((5).bit_length())', "print('a'.isalnum())",
                       "import re\nprint(re.compile('a').fullmatch('a') is None)",
                       "import re\nprint(re.match('a', 'a').groupdict())", 'print(OSError(2, "a").strerror)'],
    'keyword-argument': ["print('a,b'.split(sep=','))", "print('a,b'.split(',', maxsplit=1))",
                         "print(b'a'.decode(encoding='utf-8'))", "print(int('10', base=2))",
                         'print(list(zip([1], [2], strict=True)))', 'print(sum([1], start=1))'],
    'codec': [r"print(b'\xe9'.decode('latin-1'))", r"print('\xe9'.encode('latin-1'))",
              r"print(str(b'\xe9', 'latin-1'))",
              r"print(b'\xff'.decode('utf-8', 'replace'))", r"print(bytes('\xe9', 'latin-1'))"],
    'delete-slice': ["a = bytearray(b'ab')\ndel a[:1]\nprint(a)"],
    'slice-step': ["print('ab'[::-1])", "print(b'abc'[::2])", 'print((1, 2)[::-1])'],
    'exception-chaining': ['try:\n    raise ValueError() from KeyError()\nexcept ValueError:\n    print(1)'],
    'function-attribute': ['def f():\n    pass\nf.a = 1\nprint(1)', "def f():\n    pass\nsetattr(f, 'a', 1)\nprint(1)",
                           'def decorate(f):\n    f.a = 1\n    return f\ndecorate(lambda: 1)\nprint(1)'],
    'special-attribute': ["def f():\n    'a'\nprint(f.__doc__)", 'def f():\n    pass\nprint(f.__annotations__)',
                          'try:\n    1 // 0\nexcept ZeroDivisionError as exc:\n    print(exc.__context__)',
                          'class A:\n    pass\nprint(len(A.__mro__))'],
    'special-method': ['class A:\n    def __await__(self):\n        yield\nasync def f():\n    await A()\n'
                       'f().send(None)\nprint(1)',
                       'class A:\n    def __init_subclass__(cls):\n        print(1)\nclass B(A):\n    pass',
                       'class A(dict):\n    def __missing__(self, key):\n        return 1\nprint(A()[0])',
                       "class A:\n    def __format__(self, how):\n        return '1'\nprint(f'{A()}')",
                       'class A:\n    def __del__(self):\n        print(1)\nA()',
                       'class A:\n    def __index__(self):\n        return 0\nprint([1][A()])',
                       "class A:\n    def __bytes__(self):\n        return b'a'\nprint(bytes(A()))",
                       'class A:\n    def __class_getitem__(cls, item):\n        return 1\nprint(A[0])',
                       'class A:\n    def __getattribute__(self, name):\n        return 1\nprint(A().a)'],
    'type-expression': ['print(isinstance(1, int | str))', 'a = list[int]\nprint(1)'],
    'regex-escape': [f"import re\nprint(re.search({pattern!r}, {text!r}) is None)" for pattern, text in (
        (r'a\n', 'a\n'), (r'[\r\n]', '\n'), (r'\x41', 'A'), (r'\bA', 'A'), (r'A\Z', 'A'), (r'(a)\1', 'aa'),
        (r'\t', '\t'))] + ["import re\nA = '\\\\' + 'n'\nprint(re.match(A, '\\n') is None)"],
    'regex-group': [f"import re\nprint(re.search({pattern!r}, 'ab') is None)" for pattern in (
        '(?P<x>a)', 'a(?=b)', 'a(?!c)', '(?<=a)b', '(?i)A', '(?#c)a')],
    'regex-count': [f"import re\nprint(re.match({pattern!r}, 'aa') is None)" for pattern in (
        'a{2}', 'a{1,}', 'a{,2}$', '[a]{2}')]
                   + ["import re\nprint(re.match(b'a{2}', b'aa') is None)"],
    'regex-class': [f"import re\nprint(re.match({pattern!r}, {text!r}) is None)"
                    for pattern, text in (('[]a]', 'a'), ('[^]a]', 'b'))],
    'regex-dot': ["import re\nprint(re.match('a.', 'a\\n') is None)"],
    'regex-non-ascii': [r"import re" "\n" r"print(re.match('[\xe0-\xff]$', '\xe9') is None)"],
    'regex-flags': ["import re\nprint(re.compile('a', re.compile('') and 2).match('A') is None)"],
}
#: Programs that print the same everywhere.
GOOD = [
    'a = [1]\nprint(max(*a, 2), [1, 2][:1])', 'a, *b = [1, 2, 3]\nprint(a, b)',
    'async def g():\n    return [1]\nasync def f():\n    return [b for b in await g()]\nprint(1)',
    "with open('/dev/null') as a, open('/dev/null') as b:\n    print(1)",
    "with (open('/dev/null')) as a:\n    print(1)",
    "def f(g):\n    return g\n@f\ndef g():\n    print(1)\ng()", "a = 1\nprint('b' f'{a}' 'c', f'{{}}' 'd')",
    r"print(r'\N{BULLET}', '{}')",
    'import asyncio\nasync def f():\n    await asyncio.sleep(0)\nasyncio.run(f())\nprint(1)',
    "print('a,b'.split(','), 'ab'.partition('a'))", "print(sorted([1, 2], key=lambda a: -a), max([], default=1))",
    "print(b'a'.decode(), 'a'.encode('utf-8'), str(b'a', 'UTF-8'))",
    "a = bytearray(b'ab')\na[:1] = b''\ndel a\nprint(1)", 'a = [1, 2]\ndel a[0]\nprint(a[0:1], a[::1])',
    'try:\n    raise ValueError(1) from None\nexcept ValueError as exc:\n    print(exc.args)',
    'class A:\n    pass\na = A()\na.b = 1\nprint(a.b)',
    'def f(request):\n    request.a = 1\nprint(1)\ndef request():\n    pass',
    'class A:\n    def f(self):\n        return self.title\na = A()\na.title = 1\nprint(a.f())',
    'class A:\n    def swapcase(self):\n        return 1\nprint(A().swapcase())',
    'class A:\n    def __enter__(self):\n        return self\n    def __exit__(self, *exc_info):\n        pass\n'
    'with A():\n    print(1)',
    'print(isinstance(1, (int, str)))', 'a: "list[int] | None" = None\nprint(a)',
    'def f(a: int) -> str:\n    return str(a)\nprint(f(1))',
    "import re\nprint(re.match('(?:a|b)+?[-\\\\w.\\\\]]$', 'ab-') is None, re.match('a{', 'a{') is None)",
    "import re\nprint(re.compile('[^\\n]+').match('ab').group(0), re.sub('(a)', '\\\\1b', 'a'))",
    "import re\nprint(re.compile('a', getattr(re, 'Q', 0)).search('ba') is None, re.search('\\\\.', 'a') is None)",
    r"import re" "\n" r"print(re.search(b'[^a-z\x80-\xff]', b'\xe9') is None)",
    'import asyncio, binascii, gc, io, json, os, re, sys, time\nprint(1)',
    'from binascii import hexlify\nprint(hexlify(b"a"))',
]
#: What boards do not reach, or have tested for: programs that all of them run, too.
GUARDED = [
    'if False:\n    import functools\nprint(1)',
    'try:\n    from functools import lru_cache\n    from inspect import signature\n    a = ModuleNotFoundError\n'
    'except ImportError:\n    pass\nprint(1)',
    'try:\n    import functools\nexcept ImportError:\n    ON_MICROPYTHON = True\nelse:\n    ON_MICROPYTHON = False\n'
    'if not ON_MICROPYTHON:\n    import inspect\nprint(1)',
    "ON_MICROPYTHON = True\nif ON_MICROPYTHON:\n    print(1)\nelse:\n    print('a'.title())",
    "ON_MICROPYTHON = True\nprint(1 if ON_MICROPYTHON else 'a'.title())",
    "ON_MICROPYTHON = True\nprint(ON_MICROPYTHON or 'a'.title(), not ON_MICROPYTHON and 'a'.title())",
    "ON_MICROPYTHON = True\nif not ON_MICROPYTHON and 'a':\n    print('a'.title())\nprint(1)",
    "ON_MICROPYTHON = True\nwhile not ON_MICROPYTHON:\n    print('a'.title())\nprint(1)",
    "ON_MICROPYTHON = True\ndef f():\n    if ON_MICROPYTHON:\n        return 1\n    return 'a'.title()\nprint(f())",
    "import os\nif hasattr(os, 'nonsense'):\n    os.nonsense()\nprint(hasattr(os, 'nonsense') and os.nonsense)",
    "import os\ndef f():\n    if not hasattr(os, 'nonsense'):\n        return 1\n    os.nonsense()\nprint(f())",
    "import sys\nif hasattr(sys, 'print_exception'):\n    sys.print_exception\nelse:\n"
    '    from traceback import print_exception\nprint(1)',
    'try:\n    from sys import print_exception\nexcept ImportError:\n'
    '    from traceback import print_exception\nprint(1)',
    'try:\n    a = ConnectionError\nexcept NameError:\n    a = OSError\nprint(1)',
    'def f():\n    pass\ntry:\n    f.a = 1\nexcept AttributeError:\n    pass\nprint(1)',
]
#: Where the rest is looked at all the same.
NOT_GUARDED = [
    ('if False:\n    a = {**b}', 'unpack-in-display'),
    ('try:\n    import functools\nexcept OSError:\n    pass', 'missing-module'),
    ('try:\n    import os\n    import functools\nexcept ValueError:\n    a = functools', 'missing-module'),
    ('try:\n    pass\nexcept ImportError:\n    import functools', 'missing-module'),
    ('if ON_MICROPYTHON:\n    a.title()', 'missing-method'),
    ('if not ON_MICROPYTHON:\n    pass\nelse:\n    a.title()', 'missing-method'),
    ('if not ON_MICROPYTHON:\n    pass\na.title()', 'missing-method'),
    ('def f():\n    if not ON_MICROPYTHON:\n        return\n    a.title()', 'missing-method'),
    ('if ON_MICROPYTHON and b:\n    pass\nelse:\n    a.title()', 'missing-method'),
    ('if ON_MICROPYTHON or b:\n    a.title()', 'missing-method'),
    ("import os\nif hasattr(os, 'a'):\n    pass\nelse:\n    os.a", 'missing-name'),
    ("import os\nif hasattr(os, 'a'):\n    os.b", 'missing-name'),
    ("import sys\nif hasattr(sys, 'print_exception'):\n    import traceback", 'missing-module'),
    ('try:\n    from sys import path\nexcept ImportError:\n    import traceback', 'missing-module'),
    ('try:\n    from sys import print_exception\nexcept ImportError:\n    import functools', 'missing-module'),
    ('from sys import print_exception', 'missing-name'),
]


def cases(programs):
    return [pytest.param(rule, program, id=f'{rule}-{index}')
            for rule, texts in programs.items() for index, program in enumerate(texts)]


def run_on_cpython(program):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(program, 'program', 'exec'), {'__name__': 'program'})
    return output.getvalue()


def run_on_micropython(program):
    """Return the output, errors too."""
    return subprocess.run([BIN / 'micropython', '-c', program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60).stdout


def answer(program):
    return json.loads(run_on_micropython('import json\n' + program))


@pytest.mark.parametrize('rule, program', cases(BAD))
def test_bad(rule, program):
    assert {finding.rule for finding in check_source(program)} == {rule}
    assert run_on_micropython(program) != run_on_cpython(program)


@pytest.mark.parametrize('program', [*GOOD, *GUARDED])
def test_good(program):
    assert check_source(program) == []
    assert run_on_micropython(program)


@pytest.mark.parametrize('program', GOOD)
def test_good_is_the_same_everywhere(program):
    assert run_on_micropython(program) == run_on_cpython(program)


@pytest.mark.parametrize('program, rule', NOT_GUARDED)
def test_not_guarded(program, rule):
    assert [finding.rule for finding in check_source(program)] == [rule]


def test_every_rule_has_its_case():
    assert BAD.keys() == RULES.keys() - {'syntax', 'circuitpython-name', 'unused-comment', 'bad-comment'}


@pytest.mark.parametrize('rule, program', cases({rule: BAD[rule] for rule in BAD if rule in SYNTAX_RULES}))
def test_syntax_is_what_boards_cannot_even_read(rule, program):
    assert 'Error' in run_on_micropython('def f():\n' + ''.join(f'    {line}\n' for line in program.split('\n')))


def test_what_cpython_cannot_read():
    assert [finding.rule for finding in check_source('try:\n    pass\nexcept* ValueError:\n    pass')] == ['syntax']
    assert [finding.rule for finding in check_source('a = (')] == ['syntax']


def test_names_of_circuitpython():
    source = 'import hashlib, time\nfrom hashlib import sha1\nhashlib.sha256()\ntime.gmtime()'
    assert [(finding.line, finding.rule) for finding in check_source(source)] == [
        (2, 'circuitpython-name'), (3, 'circuitpython-name'), (4, 'circuitpython-name')]
    assert all(name.partition('.')[2] in MODULES[name.partition('.')[0]].split() for name in CIRCUITPYTHON)


def test_modules_of_our_own_for_cpython():
    source = 'from microdot.server import a\nfrom microdot import asgi, sse'
    assert [finding.rule for finding in check_source(source)] == ['missing-module', 'missing-module']
    assert check_source('from microdot import Microdot\nfrom microdot.sse import with_sse') == []


def test_examples_may_import_what_lies_beside_them(tmp_path):
    (tmp_path / 'wifi.py').write_text('')
    others = portable_lint.other_modules(tmp_path / 'main.py')
    source = 'import wifi\ntry:\n    import machine\nexcept ImportError:\n    import functools\nimport typing'
    assert [finding.detail for finding in check_source(source, others)] == ['functools', 'typing']
    assert portable_lint.other_modules(portable_lint.PACKAGE / 'sse.py') == set()


# Comments

@pytest.mark.parametrize('source', [
    'import functools  # portable: missing-module: a reason',
    'def f():  # portable: missing-method: a reason\n    a = 1\n    return a.title() + a.title()',
    "if a:  # portable: missing-method: a reason\n    pass\nelse:\n    a.title()",
])
def test_a_comment_allows_what_is_in_its_statement(source):
    assert check_source(source) == []


@pytest.mark.parametrize('source, findings', [
    ('import os  # portable: missing-module: a reason', [(1, 'unused-comment')]),
    ('import functools  # portable: missing-name: a reason', [(1, 'missing-module'), (1, 'unused-comment')]),
    ('import functools  # portable: missing-module', [(1, 'bad-comment')]),
    ('import functools  # portable: nonsense: a reason', [(1, 'bad-comment'), (1, 'missing-module')]),
    ('a = 1  # portable: missing-method: a reason\na.title()', [(1, 'unused-comment'), (2, 'missing-method')]),
])
def test_comments_that_do_not_hold(source, findings):
    assert [(finding.line, finding.rule) for finding in check_source(source)] == findings


# The tables

def test_builtins_are_those_of_micropython():
    names = answer('import builtins\nprint(json.dumps(dir(builtins)))')
    assert BUILTINS == {name for name in names if hasattr(builtins, name)} - {'__class__', '__dict__'}


def test_micropython_has_no_such_methods():
    names = answer("""
import re
objects = ['', b'', bytearray(), 1, 1.0, [], {}, set(), frozenset(), (), range(1), OSError(), re.compile(''),
           re.match('', ''), memoryview(b''), open('/dev/null'), lambda: 1, (a for a in '')]
print(json.dumps([name for a in objects for name in dir(a)]))
""")
    assert METHODS.isdisjoint(names)


def test_micropython_has_no_such_attributes():
    assert answer(f"""
class A:
    'a'
    def f(self):
        'a'
def f(a: int = 1, *, b=1):
    'a'
    return lambda: a
objects = [A, A.f, A().f, A(), f, f(), OSError(1), (a for a in '')]
print(json.dumps([name for name in {sorted(SPECIAL_ATTRIBUTES)!r} for a in objects if hasattr(a, name)]))
""") == []


@pytest.mark.parametrize('module', MODULES)
def test_names_of_modules_are_everywhere(module):
    names = set(MODULES[module].split())
    missing = answer(f"import {module}\nprint(json.dumps([name for name in {sorted(names)!r} "
                     f"if not hasattr({module}, name)]))")
    assert missing == []
    for_boards = {'mem_alloc', 'mem_free'}
    exceptions = {'EHOSTUNREACH', 'ENODEV'}
    loaded = asyncio if module == 'asyncio' else __import__(module)
    assert {name for name in names - for_boards - exceptions if not hasattr(loaded, name)} == set()


def test_arguments_by_position():
    # every C function without keywords answers so, whatever the keyword
    accepted = answer(f"""
import re
objects = ['', b'', bytearray(), [], {{}}, set(), (), 1, re]
import builtins
accepted = []
for name in {sorted(BY_POSITION)!r}:
    functions = [getattr(a, name) for a in [builtins] + objects if hasattr(a, name)]
    errors = []
    for function in functions:
        try:
            function(nonsense=1)
        except (TypeError, NotImplementedError) as exc:
            errors.append(str(exc))
    if not errors or not any('keyword' in error and 'extra' not in error for error in errors):
        accepted.append([name, errors])
print(json.dumps(accepted))
""")
    assert accepted == []
    assert TYPES <= BUILTINS


# The command

def test_command(tmp_path):
    file = tmp_path / 'bad.py'
    file.write_text('import functools\n')
    command = [sys.executable, ROOT / 'tools' / 'portable_lint.py', file]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout == (f'{file}:1: missing-module: functools ({RULES["missing-module"]})\n'
                             '1 found in 1 files that boards run.\n')
    file.write_text('import re\n')
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0


def test_it_can_read_all_that_boards_run():
    # whether it finds something there is for "make check" to say
    for source in portable_lint.portable_sources():
        assert isinstance(ast.parse(source.read_text(), feature_version=(3, 10)), ast.Module)
        assert all(finding.rule != 'syntax' for finding in check_source(source.read_text()))
