"""Templates with utemplate, which boards have room for. What they insert is escaped for HTML."""
from microdot.microdot import ON_MICROPYTHON

if False:  # TYPE_CHECKING
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

    from microdot.utemplate_loader import Loader as Loader


def __getattr__(name: str) -> 'Any':
    """Load what compiles templates when somebody needs it: boards have no room for it, and can do without."""
    if name != 'Loader':
        raise AttributeError(name)
    from microdot.utemplate_loader import Loader
    return Loader


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
    text = str(value).replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
    return text.replace('"', '&quot;').replace("'", '&#39;')


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
        cls.loader = (loader_class or __getattr__('Loader'))(None, template_dir)

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
        from microdot.async_pieces import AsyncPieces  # only for programs that use either engine
        return AsyncPieces(self.generate(*args, **kwargs))


def load(name: str) -> 'Callable[..., Iterator[str]]':
    """Return the function that renders a template; for compiled templates that are kept in files."""
    return Template(name).template  # type: ignore[no-any-return]
