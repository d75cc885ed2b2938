"""Headers of parts that are not as most browsers write them. ``microdot.multipart`` loads it when needed."""
from microdot.forms import percent_decode
from microdot.headers import NoCaseDict
from microdot.microdot import ProtocolError, parse_field
from microdot.multipart import refuse

if False:  # TYPE_CHECKING
    from microdot.multipart import Part


def parse_options(value: str) -> 'tuple[str, dict[str, str]]':
    """See ``parse_options()`` of ``microdot.multipart``."""
    main, _, rest = value.partition(';')
    options: 'dict[str, str]' = {}
    # RFC 9110 section 5.6.4; until the quotes are found, what is escaped is written with NUL, which no header has
    rest = rest.replace('\\\\', '\0.').replace('\\"', '\0,')
    while '=' in rest:
        name, _, rest = rest.partition('=')
        name = name[name.rfind(';') + 1:].strip(' \t').lower()
        rest = rest.lstrip(' \t')
        if rest[:1] == '"':
            value, quote, rest = rest[1:].partition('"')
            junk, _, rest = rest.partition(';')
            if not quote or junk.strip(' \t'):
                refuse('Malformed parameter in the form')
            # other backslashes stay: browsers do not escape those of file names; but aiohttp escapes spaces
            value = value.replace('\\ ', ' ').replace('\0,', '"').replace('\0.', '\\')
        else:
            value, _, rest = rest.partition(';')
            value = value.rstrip(' \t').replace('\0,', '\\"').replace('\0.', '\\\\')
        if name in options:
            refuse('Repeated parameter in the form')
        options[name] = value
    return main.strip(' \t').lower(), options


def find_name(options: 'dict[str, str]', key: str) -> 'str | None':
    """Return a parameter in the way that browsers encode it, or in that of RFC 8187, ``None`` if there is neither."""
    text = options.get(key + '*')
    if text is not None:  # RFC 8187 section 3.2: charset, language, text
        return percent_decode(text.rpartition("'")[2])
    text = options.get(key)
    if text and '%' in text:  # WHATWG HTML, section 4.10.21.8
        text = text.replace('%22', '"').replace('%0D', '\r').replace('%0A', '\n')
    return text


def split_fields(block: bytes) -> 'list[tuple[str, str]]':
    """Return the names and values of the headers of a part."""
    # lines may be folded (RFC 5322 section 2.2.3)
    block = block.replace(b'\r\n ', b' ').replace(b'\r\n\t', b' ')
    try:
        return [parse_field(line) for line in block.split(b'\r\n')]
    except ProtocolError:
        refuse('Malformed header in the form')


def headers(block: bytes) -> NoCaseDict:
    found = NoCaseDict()
    found.add_fields(split_fields(block))
    return found


def read_headers(part: 'Part', block: bytes) -> None:
    """Fill in the attributes of a part."""
    known: 'dict[str, str]' = {}
    for name, value in split_fields(block):
        name = name.lower()
        if name in known and name in ('content-type', 'content-disposition'):
            refuse('Repeated header in the form')
        known[name] = value
    part.content_type = known.get('content-type')
    kind, options = parse_options(known.get('content-disposition', ''))
    found = find_name(options, 'name')
    if found is None or kind != 'form-data':
        refuse('A part of the form has no name')
    part.name = found
    part.raw_filename = find_name(options, 'filename')
    part.filename = safe_filename(part.raw_filename or '')


def safe_filename(name: str) -> str:
    """Return a file name that can be added to a directory's, ``''`` if nothing is left of it."""
    name = name.replace('\\', '/')
    name = ''.join([c for c in name[name.rfind('/') + 1:] if c >= ' ' and not '\x7f' <= c < '\xa0'])
    start = 0
    while name[start + 1:start + 2] == ':':  # a drive of Windows
        start += 2
    name = name[start:].replace(':', '_').rstrip('. ')  # a stream of Windows, and what it would drop
    return name if name.strip('. ') else ''
