"""Templates with utemplate, which boards have room for. What they insert is escaped for HTML."""
import io
import os

from microdot.microdot import ON_MICROPYTHON

try:
    from utemplate import source
except ImportError:
    raise ImportError('microdot.utemplate needs utemplate. pip cannot install it: '
                      'take the folder "utemplate" out of its archive')

if False:  # TYPE_CHECKING
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any


class Safe:
    """Text that is HTML already, and is inserted as it is. A ``str`` of its own could not be joined on MicroPython.

    :param text: the text, as a ``str``.

    """

    def __init__(self, text: str):
        self.text = text

    def __html__(self) -> str:
        return self.text

    __str__ = __html__


def escape(value: 'Any') -> str:
    """Return what stands for a value in HTML, between tags and in quoted attributes.

    Objects with a method ``__html__()``, such as :class:`Safe`, are what that returns.

    """
    if hasattr(value, '__html__'):
        return value.__html__()  # type: ignore[no-any-return]
    text = str(value)
    for old, new in ('&', 'amp'), ('<', 'lt'), ('>', 'gt'), ('"', 'quot'), ("'", '#39'):
        text = text.replace(old, '&' + new + ';')
    return text


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


class Template:
    """A template of utemplate.

    :param template: its name, relative to the directory of the templates. If there is none, ``OSError``.

    """

    #: Characters that :meth:`generate` and :meth:`generate_async` collect, at least, before they return them.
    #: The engine makes a piece of each expression, and the server a chunk and a write of each piece that it gets.
    buffer_size = 512 if ON_MICROPYTHON else 8192

    loader: 'Any' = None

    def __init__(self, template: str):
        if not self.loader:
            self.initialize()
        self.name = template
        self.template = self.loader.load(template)

    @classmethod
    def initialize(cls, template_dir: str = 'templates', loader_class: 'Any' = None) -> None:
        """Say where the templates are. Without this call, that is ``templates``.

        :param template_dir: the directory of the templates.
        :param loader_class: how they are found and compiled. By default they are compiled in memory, escape what they
                             insert, and are compiled again when they have changed. The loaders of the engine, such as
                             ``utemplate.compiled.Loader``, are used as they are.

        """
        cls.loader = (loader_class or Loader)(None, template_dir)

    def render(self, *args: 'Any', **kwargs: 'Any') -> str:
        """Return the rendered template. The arguments are those that ``{% args %}`` names."""
        return ''.join(self.template(*args, **kwargs))

    def generate(self, *args: 'Any', **kwargs: 'Any') -> 'Iterator[str]':
        """Return a generator that renders the template piece by piece, so that it is never in memory as a whole."""
        pieces = []
        size = 0
        for piece in self.template(*args, **kwargs):
            pieces.append(piece)
            size += len(piece)
            if size >= self.buffer_size:
                yield ''.join(pieces)
                pieces = []
                size = 0
        if size:
            yield ''.join(pieces)

    async def render_async(self, *args: 'Any', **kwargs: 'Any') -> str:
        """Do what :meth:`render` does."""
        return self.render(*args, **kwargs)

    def generate_async(self, *args: 'Any', **kwargs: 'Any') -> 'AsyncIterator[str]':
        """Do what :meth:`generate` does, as an asynchronous iterator."""
        return AsyncPieces(self.generate(*args, **kwargs))


class AsyncPieces:
    """An asynchronous generator, which MicroPython does not have."""

    def __init__(self, pieces: 'Any'):
        self.pieces = pieces

    def __aiter__(self) -> 'AsyncIterator[str]':
        return self

    async def __anext__(self) -> str:
        for piece in self.pieces:
            return piece  # type: ignore[no-any-return]
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.pieces.close()


def load(name: str) -> 'Callable[..., Iterator[str]]':
    """Return the function that renders a template; for compiled templates that are kept in files."""
    return Template(name).template  # type: ignore[no-any-return]
