"""A part of the core: routes that are not found by their path alone, automatic responses, sub-applications."""
import re

from microdot.forms import percent_decode
from microdot.microdot import Microdot, ProtocolError, Request, Response

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any


def route_path(path: str) -> str:
    """Decode a path for matching: NUL stands for an encoded slash, and a path with NUL matches nothing."""
    if '%' not in path:
        return path
    return '' if '%00' in path else percent_decode(path.replace('%2F', '%00').replace('%2f', '%00'))


class URLPattern:
    """The pattern of a route, such as ``/users/<int:id>``.

    Types: ``string`` (the default: up to the next slash), ``int``, ``path`` (one or more segments),
    ``re:REGEX`` and those added by :meth:`register_type`.

    """
    # The lazy "+?": MicroPython's engine recurses for each character that a greedy match takes
    types: 'dict[str, tuple[str, Callable[[str], Any] | None]]' = {
        'string': ('[^/]+?', None),
        'int': ('-?[0-9]+?', int),
        'path': ('.+?', None),
    }

    @classmethod
    def register_type(cls, type_name: str, pattern: str = '[^/]+?',
                      parser: 'Callable[[str], Any] | None' = None) -> None:
        """Add a type of URL component.

        :param pattern: regular expression of the values that match, in MicroPython's dialect.
        :param parser: converts the text to the argument; ``None`` or a ``ValueError`` means no match.

        """
        cls.types[type_name] = pattern, parser

    def __init__(self, url_pattern: str):
        self.url_pattern = url_pattern
        self.is_static = '<' not in url_pattern
        text = percent_decode('/' + url_pattern.lstrip('/').partition('<')[0])
        #: the literal text that a path must begin with: all of it, or up to a slash
        self.prefix = text if self.is_static else text[:text.rfind('/') + 1]
        self.key = self.prefix if '<' in url_pattern else ' ' + text  # which no prefix begins with
        self._regex: 'Any' = None
        self._parsers: 'list[tuple[int, str, Any]]' = []

    def compile(self) -> None:
        """Prepare for matching; ``ValueError`` for an unknown type or an unclosed ``<``."""
        regex = ''
        group = 1
        self._parsers = []
        rest = '/' + self.url_pattern.lstrip('/')
        while rest:
            text, mark, rest = rest.partition('<')
            regex += ''.join(['\\' + c if c in '\\.+*?()[]{}|^$' else c for c in percent_decode(text)])
            if not mark:
                break
            component, mark, rest = rest.partition('>')
            kind, colon, name = component.partition(':')
            if not colon:
                kind, name = 'string', kind
            if kind == 're':
                pattern, _, name = name.rpartition(':')
                parser = None
            elif kind in self.types:
                pattern, parser = self.types[kind]
            else:
                raise ValueError('unknown type in URL pattern ' + self.url_pattern)
            if not mark or not name:
                raise ValueError('invalid URL pattern ' + self.url_pattern)
            regex += '(' + pattern + ')'
            self._parsers.append((group, name, parser))
            group += 1
            found: 'Any' = re.compile('(?:' + pattern + ')|').match('')  # to count the pattern's own groups
            try:
                while '(' in pattern:
                    found.group(group - self._parsers[-1][0])
                    group += 1
            except IndexError:
                pass
        # Both sides end in a slash, because "$" would also match before a line feed at the end
        self._regex = re.compile('^' + regex + '/$', getattr(re, 'S', 0))

    def match(self, path: str) -> 'dict[str, Any] | None':
        """Return the arguments in a path (still percent-encoded), ``None`` if it does not match."""
        path = route_path(path)
        if self.is_static:
            return {} if path == self.prefix else None
        if not self._regex:
            self.compile()
        try:
            found = self._regex.match(path + '/')
        except RuntimeError:  # MicroPython: too long for the recursion of a greedy match
            found = None
        if not found:
            return None
        args = {}
        for group, name, parser in self._parsers:
            value = found.group(group).replace('\0', '/')
            try:
                args[name] = parser(value) if parser else value
            except ValueError:  # among them numbers that are too long for int()
                return None
            if args[name] is None:
                return None
        return args


class Index:
    """Finds the routes of an application by their literal text, so that it does not matter how many there are."""

    def __init__(self) -> None:
        self.patterns: 'list[URLPattern]' = []  # of the application's routes
        self.numbers: 'dict[str, list[int]]' = {}  # of routes, by URLPattern.key
        self.longest = 0  # of the prefixes

    def update(self, app: Microdot) -> None:
        """Take in the routes that have been added."""
        for number in range(len(self.patterns), len(app.routes)):
            pattern = URLPattern(app.routes[number][0])
            self.patterns.append(pattern)
            self.numbers.setdefault(pattern.key, []).append(number)
            self.longest = max(self.longest, len(pattern.prefix))

    def candidates(self, path: str) -> 'list[int]':
        """Return the numbers of the routes that may match a path; ``*`` (RFC 9110 section 9.3.7) stands for all."""
        if path == '*':
            return list(range(len(self.patterns)))
        numbers: 'list[int]' = []
        numbers += self.numbers.get(' ' + path, ())
        end = path.find('/') + 1
        while 0 < end <= self.longest:
            numbers += self.numbers.get(path[:end], ())
            end = path.find('/', end) + 1
        return numbers


def get_index(app: Microdot) -> Index:
    index: Index = app._index or Index()
    app._index = index
    if len(index.patterns) < len(app.routes):
        index.update(app)
    return index


def compile_routes(app: Microdot) -> None:
    """Raise ``ValueError`` for a pattern with a mistake."""
    for pattern in get_index(app).patterns:
        if not pattern.is_static:
            pattern.compile()


def find_route(app: Microdot, request: Request) -> 'tuple[int, dict[str, Any]]':
    """Return the number of the first route that matches (-1 if there is none) and the arguments in the path."""
    path = request.raw_path
    index = get_index(app)
    first = -1
    args: 'dict[str, Any]' = {}
    for number in index.candidates(route_path(path)):
        if request.method in app.routes[number][1] and (first < 0 or number < first):
            found = index.patterns[number].match(path)
            if found is not None:
                first = number
                args = found
    if first >= 0 and index.patterns[first].is_static and path == index.patterns[first].prefix:
        app._static[request.method + path] = app.routes[first]  # not the endless spellings of an encoded path
    return first, args


async def dispatch(app: Microdot, request: Request) -> Response:
    """Call the handlers of the route that matches, or answer with what is known of the routes."""
    number, args = find_route(app, request)
    if number >= 0:
        return await app.handle(request, app.routes[number], args)
    headers = options_handler(app, request)
    if not headers['Allow']:
        raise ProtocolError(404)
    if request.method != 'OPTIONS':
        raise ProtocolError(405, headers)
    from microdot.hooks import finish

    return await finish([app.after_error_request_handlers], request, Response(b'', 200, app.options_handler(request)))


def options_handler(app: Microdot, request: Request) -> 'dict[str, str]':
    """Return the headers of an automatic response to ``OPTIONS``: the methods of all routes that match."""
    methods: 'list[str]' = []
    added: 'list[str]' = []  # what the core adds comes last
    index = get_index(app)
    for number in index.candidates(route_path(request.raw_path)):
        if request.path == '*' or index.patterns[number].match(request.raw_path) is not None:
            for method in app.routes[number][1] + ['OPTIONS']:
                names = added if method in ('HEAD', 'OPTIONS') else methods
                if method not in names:
                    names.append(method)
    return {'Allow': ', '.join(methods + sorted(added))}


default_options_handler = options_handler  # for who has replaced it, and wants to call it


def mount(app: Microdot, subapp: Microdot, url_prefix: str = '', local: bool = False) -> None:
    """Copy the routes of a sub-application under a prefix.

    Its hooks and error handlers become those of the whole application, or with ``local`` stay with its routes.

    """
    for pattern, methods, handler, call, prefix, innermost, local_apps in subapp.routes:
        app.add_route(url_prefix + pattern, methods, handler, call, url_prefix + prefix,
                      innermost or subapp, local_apps + (subapp,) if local else local_apps)
    if not local:
        for mine, other in ((app.before_request_handlers, subapp.before_request_handlers),
                            (app.after_request_handlers, subapp.after_request_handlers),
                            (app.after_error_request_handlers, subapp.after_error_request_handlers)):
            for hook in other:
                if hook not in mine or subapp not in app.subapps:  # hooks run once, if mounted twice
                    mine.append(hook)
        app.subapps.append(subapp)
        app.error_handlers.update(subapp.error_handlers)
