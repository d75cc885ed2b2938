"""Compiles templates of utemplate so that they escape what they insert. Boards can do without: docs/templates.md."""
import io
import os

try:
    from utemplate import source
except ImportError:
    # pip cannot install it
    raise ImportError('microdot.utemplate needs utemplate, a folder in its archive')

if False:  # TYPE_CHECKING
    from collections.abc import Callable, Iterator
    from typing import Any


class Compiler(source.Compiler):  # type: ignore[misc]
    """Compiles templates to Python that escapes. The engine's own does not; the rest here mends what it gets wrong."""

    line = 0

    def header(self) -> None:
        # for those that are kept in files; Loader.load() replaces _load
        self.file_out.write('from microdot.utemplate import escape as _escape, load as _load\n')

    def compile(self) -> None:
        super().compile()
        if len(self.stack) > 1:
            raise SyntaxError('end%s is missing' % self.stack[-1])
        self.indent()
        self.file_out.write('yield ""\n')  # a template without text is a generator too

    def parse_line(self, l: str) -> None:  # noqa: E741
        self.line += 1
        rest = l
        try:
            while rest:
                start = min([i for i in (rest.find('{{'), rest.find('{%'), len(rest)) if i >= 0])
                self.literal(rest[:start])
                rest = rest[start:]
                if rest:
                    rest = self.parse_tag(rest)
        except (AssertionError, LookupError, ValueError):
            raise SyntaxError('line %d: %s' % (self.line, l))

    def parse_tag(self, rest: str) -> str:
        """Compile the tag at the beginning of a text, return what follows it."""
        self.close_literal()
        is_expression = rest[1] == '{'
        tag, rest = rest[2:].split('}}' if is_expression else '%}', 1)
        if is_expression:
            self.render_expr(tag.strip())
            return rest
        self.parse_statement(tag.strip())
        return '' if rest == '\n' else rest  # a line of its own leaves nothing

    def literal(self, s: str) -> None:
        super().literal(s.replace('\\', '\\\\'))

    def render_expr(self, e: str) -> None:
        super().render_expr('_escape(' + e + ')')

    def parse_statement(self, stmt: str) -> None:
        word = stmt.split()[0]
        if word == 'include':
            self.include(stmt[7:].strip())
        elif word == 'args' and self.flushed_header:
            raise ValueError  # the engine would ignore it
        else:
            super().parse_statement(stmt)

    def include(self, what: str) -> None:
        """Call another template. The engine would compile or import it without escaping."""
        if what[:2] == '{{':
            name, args = what[2:].split('}}', 1)
        else:
            name, args = what[1:].split(what[0], 1)
            self.loader.input_open(name).close()  # that it is missing should show early
            name = repr(name)
        self.indent()
        self.file_out.write('yield from _load(%s)(%s)\n' % (name, args))


class Loader:
    """Compiles templates in memory, when they are first used and when they have changed. It writes no files.

    :param pkg: not used, always ``None``.
    :param dir: the directory of the templates.

    """

    def __init__(self, pkg: None, dir: str):
        self.dir = dir
        self.known: 'dict[str, tuple[Any, Callable[..., Iterator[str]]]]' = {}

    def path(self, name: str) -> str:
        """Return the path of a template. ``OSError`` for names that could lead out of the directory."""
        for part in name.split('/'):
            if part in ('', '.', '..') or '\\' in part or ':' in part or '\0' in part:
                raise OSError(2, name)  # ENOENT
        return self.dir + '/' + name

    def input_open(self, name: str) -> 'Any':
        return open(self.path(name), encoding='utf-8')

    def load(self, name: str) -> 'Callable[..., Iterator[str]]':
        """Return the function that renders a template."""
        stat: 'Any' = os.stat(self.path(name))
        # Compared for being the same, since the clock of a board may not be set; in nanoseconds where there are any
        version = stat[6], getattr(stat, 'st_mtime_ns', stat[8])
        known = self.known.get(name)
        if not known or known[0] != version:
            # tracebacks of CPython ask __loader__ for the lines of __name__
            module: 'dict[str, Any]' = {'__name__': name, '__loader__': self}
            exec(compile(self.get_source(name), name + ' (compiled)', 'exec'), module)
            module['_load'] = self.load
            known = self.known[name] = version, module['render']
        return known[1]

    def get_source(self, name: str) -> str:
        """Return a template as a module of Python, which can be kept in a file for ``utemplate.compiled.Loader``."""
        module = io.StringIO()
        with self.input_open(name) as template:
            try:
                Compiler(template, module, loader=self).compile()
            except SyntaxError as exc:
                raise SyntaxError('%s: %s' % (name, exc))
        return module.getvalue()
