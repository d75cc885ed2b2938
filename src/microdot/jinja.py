"""Templates with Jinja, on CPython."""
import asyncio
from contextlib import aclosing

try:
    import jinja2
except ModuleNotFoundError as exc:
    if exc.name != 'jinja2':
        raise
    raise ImportError('microdot.jinja needs Jinja: pip install "microdot[jinja]"') from None

if False:  # TYPE_CHECKING
    from collections.abc import AsyncIterator, Iterator
    from typing import Any, ClassVar


class Template:
    """A template of Jinja.

    :param name: its name, relative to the directory of the templates. If there is none, ``jinja2.TemplateNotFound``.
    :param kwargs: more arguments for ``jinja2.Environment.get_template()``: ``parent``, ``globals``.

    """

    #: The environment of all templates, a ``jinja2.Environment``. ``None`` until the first template or
    #: :meth:`initialize` makes it.
    jinja_env: 'ClassVar[jinja2.Environment | None]' = None

    #: Characters that :meth:`generate` and :meth:`generate_async` collect, at least, before they return them.
    #: Jinja makes a piece of each expression, and the server a chunk and a system call of each piece that it gets.
    #: With 0, each piece is sent as soon as it is there.
    buffer_size: 'ClassVar[int]' = 8192

    def __init__(self, name: str, **kwargs: 'Any'):
        if self.jinja_env is None:
            self.initialize()
        self.name = name
        self.template: jinja2.Template = self.jinja_env.get_template(name, **kwargs)  # type: ignore[union-attr]

    @classmethod
    def initialize(cls, template_dir: 'Any' = 'templates', enable_async: bool = False, **kwargs: 'Any') -> None:
        """Make the environment. Without this call, that happens with the first template, with the defaults.

        :param template_dir: the directory of the templates, or a list of directories.
        :param enable_async: whether templates may contain, and get, what has to be awaited.
        :param kwargs: more arguments for ``jinja2.Environment``. They win over what is set here: ``loader``, and
                       ``autoescape``, which is on for all templates but those whose names end in ``.txt``.

        """
        if 'loader' not in kwargs:
            kwargs['loader'] = jinja2.FileSystemLoader(template_dir)
        if 'autoescape' not in kwargs:  # Jinja's own default is off, and its function leaves .j2 or .tpl out
            kwargs['autoescape'] = jinja2.select_autoescape(disabled_extensions=('txt',), default=True)
        cls.jinja_env = jinja2.Environment(enable_async=enable_async, **kwargs)

    def render(self, *args: 'Any', **kwargs: 'Any') -> str:
        """Return the rendered template. The arguments are its variables, as for ``dict()``."""
        if self.template.environment.is_async:
            refuse_in_loop('render')
        return self.template.render(*args, **kwargs)

    def generate(self, *args: 'Any', **kwargs: 'Any') -> 'Iterator[str]':
        """Return a generator that renders the template piece by piece, for a response that is not in memory as a whole.

        The response of an asynchronous environment may have it, too.

        """
        if self.template.environment.is_async:
            return AsyncPieces(self, args, kwargs)
        return join_pieces(self.template.generate(*args, **kwargs), self.buffer_size)

    async def render_async(self, *args: 'Any', **kwargs: 'Any') -> str:
        """Do what :meth:`render` does, and wait for what has to be awaited if ``enable_async`` was set."""
        if self.template.environment.is_async:
            return await self.template.render_async(*args, **kwargs)
        return self.template.render(*args, **kwargs)

    async def generate_async(self, *args: 'Any', **kwargs: 'Any') -> 'AsyncIterator[str]':
        """Do what :meth:`generate` does, as an async generator."""
        if not self.template.environment.is_async:
            for text in self.generate(*args, **kwargs):
                yield text
            return
        buffer = Buffer(self.buffer_size)
        async with aclosing(self.template.generate_async(*args, **kwargs)) as pieces:
            async for piece in pieces:
                if buffer.add(piece):
                    yield buffer.take()
        if buffer.pieces:
            yield buffer.take()


def refuse_in_loop(name: str) -> None:
    """Raise a ``RuntimeError`` that helps in an event loop: Jinja would have to wait for another one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError('%s() cannot be used in an event loop when enable_async is set: use %s_async()' % (name, name))


class Buffer:
    """Collects pieces of text until they are worth a chunk."""

    def __init__(self, limit: int):
        self.limit = limit
        self.pieces: 'list[str]' = []
        self.size = 0

    def add(self, piece: str) -> bool:
        """Keep a piece. Return whether it is time to :meth:`take`."""
        self.pieces.append(piece)
        self.size += len(piece)
        return self.size >= self.limit

    def take(self) -> str:
        text = ''.join(self.pieces)
        self.pieces.clear()
        self.size = 0
        return text


def join_pieces(pieces: 'Iterator[str]', limit: int) -> 'Iterator[str]':
    buffer = Buffer(limit)
    for piece in pieces:
        if buffer.add(piece):
            yield buffer.take()
    if buffer.pieces:
        yield buffer.take()


class AsyncPieces:
    """What ``generate()`` returns with ``enable_async``: a generator, but for the server an async one.

    A handler may be a function that runs in a thread, and return this to the server, which is in an event loop.

    """

    def __init__(self, template: Template, args: 'Any', kwargs: 'Any'):
        self.template = template
        self.arguments: 'Any' = args, kwargs
        self.pieces: 'Any' = None  # a generator of one of the two kinds, once it is known which

    def take_arguments(self) -> 'Any':
        """Return the arguments and forget them: they may be generators, to be closed as soon as nobody needs them."""
        arguments, self.arguments = self.arguments, None
        return arguments

    def __iter__(self) -> 'Iterator[str]':
        return self

    def __next__(self) -> str:
        if not self.pieces:
            refuse_in_loop('generate')
            args, kwargs = self.take_arguments()
            self.pieces = join_pieces(self.template.template.generate(*args, **kwargs), self.template.buffer_size)
        return next(self.pieces)  # type: ignore[no-any-return]

    def __aiter__(self) -> 'AsyncIterator[str]':
        return self

    async def __anext__(self) -> str:
        if not self.pieces:
            args, kwargs = self.take_arguments()
            self.pieces = self.template.generate_async(*args, **kwargs)
        return await self.pieces.__anext__()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        if self.pieces:
            await self.pieces.aclose()
