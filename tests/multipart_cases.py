"""Bodies of multipart/form-data and what is in them, names of files, and ways to feed a parser.

Works on CPython and on MicroPython.

"""
CONTENT_TYPE = 'multipart/form-data; boundary=bound'
END = b'--bound--\r\n'


def part(disposition, content=b'', *fields):
    """Return a part of a body with the boundary ``bound``; what follows ``form-data`` in its disposition is given."""
    lines = [b'--bound', b'Content-Disposition: form-data' + disposition]
    lines.extend(fields)
    return b'\r\n'.join(lines) + b'\r\n\r\n' + content + b'\r\n'


def field(name, content=b''):
    return part(b'; name="' + name + b'"', content)


def upload(name, filename, content=b'', kind=b'text/plain'):
    return part(b'; name="' + name + b'"; filename="' + filename + b'"', content, b'Content-Type: ' + kind)


BINARY = bytes(range(256)) * 2
LIKE_A_BOUNDARY = (b'\n--bound--\r\r\n-\r\n--\r\n--b\r\n--boun\r\r\n--boun\r\n\r\n--BOUND\r\nbound\r\n'
                   b'---bound\r\n--\r\n--boun\r')

#: what it is, the body, and its parts: name, name of the file or None, content type or None, content
BODIES = [
    ('nothing', END, []),
    ('nothing, and no line end', b'--bound--', []),
    ('a field', field(b'a', b'1') + END, [('a', None, None, b'1')]),
    ('an empty field', field(b'a') + END, [('a', None, None, b'')]),
    ('fields', field(b'a', b'1') + field(b'b', b'\r\n') + field(b'a', b'') + END,
     [('a', None, None, b'1'), ('b', None, None, b'\r\n'), ('a', None, None, b'')]),
    ('text', field(b'a', 'gr\xfc\xdfe \u4e16\U0001f331'.encode()) + END,
     [('a', None, None, 'gr\xfc\xdfe \u4e16\U0001f331'.encode())]),
    ('a file', upload(b'f', b'a.txt', b'hello') + END, [('f', 'a.txt', 'text/plain', b'hello')]),
    ('an empty file', upload(b'f', b'a.txt') + END, [('f', 'a.txt', 'text/plain', b'')]),
    ('no file chosen', upload(b'f', b'', b'', b'application/octet-stream') + END,
     [('f', '', 'application/octet-stream', b'')]),
    ('a binary file', upload(b'f', b'a.bin', BINARY, b'a/b;c="d"') + END, [('f', 'a.bin', 'a/b;c="d"', BINARY)]),
    ('fields and files',
     field(b'a', b'1') + upload(b'f', b'a', b'A') + field(b'b', b'2') + upload(b'f', b'b', b'B') + END,
     [('a', None, None, b'1'), ('f', 'a', 'text/plain', b'A'), ('b', None, None, b'2'),
      ('f', 'b', 'text/plain', b'B')]),
    ('content like a boundary', upload(b'f', b'a', LIKE_A_BOUNDARY) + field(b'a', LIKE_A_BOUNDARY) + END,
     [('f', 'a', 'text/plain', LIKE_A_BOUNDARY), ('a', None, None, LIKE_A_BOUNDARY)]),
    ('line breaks', field(b'a', b'\r\n\r\n\r\r\n\n') + END, [('a', None, None, b'\r\n\r\n\r\r\n\n')]),
    # RFC 2046 section 5.1.1
    ('preamble and epilogue',
     b'To whom\r\n it --bound may concern\r\n' + field(b'a', b'1') + END + b'PS: --bound\r\n' + END,
     [('a', None, None, b'1')]),
    ('an empty preamble', b'\r\n' + field(b'a', b'1') + END, [('a', None, None, b'1')]),
    ('a preamble like a boundary', b'--boun\r\n--bouncer--bound\r\n--\r\r\n' + field(b'a', b'1') + END,
     [('a', None, None, b'1')]),
    ('transport padding', b'--bound \t \r\n' + field(b'a', b'1')[9:-2] + b'\r\n--bound-- \t\r\n',
     [('a', None, None, b'1')]),
    ('an epilogue that is binary', field(b'a', b'1') + b'--bound--' + BINARY, [('a', None, None, b'1')]),
    # RFC 7578 section 4.8 leaves other headers alone; RFC 5322 section 2.2.3
    ('more headers',
     part(b';name=a', b'1', b'X-Empty:', b'x-Other:1', b'Content-Type:\ttext/plain \t') + END,
     [('a', None, 'text/plain', b'1')]),
    ('folding', part(b';\r\n name="a";\r\n\tfilename=b', b'1', b'Content-Type:\r\n text/plain') + END,
     [('a', 'b', 'text/plain', b'1')]),
    ('other spelling',
     part(b';NAME=a;FileName=b', b'1').replace(b'Content-Disposition: f', b'content-DISPOSITION:F') + END,
     [('a', 'b', None, b'1')]),
    # RFC 2046 section 5.1.1: body-part := MIME-part-headers [CRLF *OCTET]
    ('a part without content', field(b'a')[:-2] + field(b'b', b'1') + field(b'c')[:-2] + END,
     [('a', None, None, b''), ('b', None, None, b'1'), ('c', None, None, b'')]),
]

#: the parameters of a disposition, and the name and the name of the file that they give
NAMES = [
    (b'; name="a"', 'a', None),
    (b';name=a', 'a', None),
    (b' ; name="a" ; filename="b"', 'a', 'b'),
    (b'; \t name="a";\t filename="b" ', 'a', 'b'),
    (b'; filename="b"; name="a"', 'a', 'b'),
    (b'; filename=b; name=a; other="c;d"', 'a', 'b'),
    (b'; other="; name=\\"x\\"; "; name="a"', 'a', None),
    (b'; name="a"; filename=""', 'a', ''),
    (b'; name="a;b"; filename="c;d.txt"', 'a;b', 'c;d.txt'),
    (b'; name="a; filename=x"', 'a; filename=x', None),
    (b'; name="a=b"; filename="c=d"', 'a=b', 'c=d'),
    (b'; name="a,b"; filename="c,d"', 'a,b', 'c,d'),
    (b'; name=" a "; filename=" b "', ' a ', ' b '),
    (b"; name=\"it's\"; filename=\"it's\"", "it's", "it's"),
    # quoted-pair (RFC 9110 section 5.6.4); another backslash is one, because browsers did not escape those of paths
    (b'; name="a\\"b"; filename="c\\"d\\".txt"', 'a"b', 'c"d".txt'),
    (b'; name="a\\\\b"; filename="c\\\\d"', 'a\\b', 'c\\d'),
    (b'; name="a\\\\"; filename="b\\\\\\""', 'a\\', 'b\\"'),
    (b'; name="a"; filename="C:\\dir\\new.txt"', 'a', 'C:\\dir\\new.txt'),
    # WHATWG HTML section 4.10.21.8: these three and no others
    (b'; name="a%22b"; filename="c%22d%0D%0Ae%41%"', 'a"b', 'c"d\r\ne%41%'),
    (b'; name="%0D%0A100%"; filename="50%25"', '\r\n100%', '50%25'),
    (b'; name="\xc3\xbc\xe4\xb8\x96"; filename="\xf0\x9f\x8c\xb1.txt"', '\xfc\u4e16', '\U0001f331.txt'),
    (b'; name="\xfc"; filename="gr\xfc\xdfe.txt"', '\xfc', 'gr\xfc\xdfe.txt'),  # ISO 8859-1
    # RFC 5987 section 3.2
    (b"; name=\"a\"; filename*=UTF-8''%e2%82%ac%20rates", 'a', '\u20ac rates'),
    (b"; name=\"a\"; filename*=utf-8'en'%C2%A3.txt; filename=\"x.txt\"", 'a', '\xa3.txt'),
    (b"; name=\"a\"; filename=\"x.txt\"; filename*=iso-8859-1'en'%A3%20rates", 'a', '\xa3 rates'),
    (b"; name=\"a\"; FileName*=UTF-8''b%22%3Bc", 'a', 'b";c'),
    (b"; filename*=UTF-8''b; name=a", 'a', 'b'),
    # as aiohttp writes what is not plain
    (b"; name*=utf-8''gr%C3%BC%C3%9Fe%22", 'gr\xfc\xdfe"', None),
    (b'; name="a\\ \\"b\\"\\ c"; filename="d%20e"', 'a "b" c', 'd%20e'),
]

#: names of files as clients may send them, and what is left of them (None: whatever is safe)
FILENAMES = [
    ('a.txt', 'a.txt'),
    ('no extension', 'no extension'),
    ('.profile', '.profile'),
    ('a..b', 'a..b'),
    ('\xfc\u4e16\U0001f331.txt', '\xfc\u4e16\U0001f331.txt'),
    ('', ''),
    ('.', ''),
    ('..', ''),
    ('/', ''),
    ('\\', ''),
    ('//', ''),
    ('./', ''),
    ('../', ''),
    ('..\\', ''),
    ('a/..', ''),
    ('a\\..', ''),
    ('a/.', ''),
    ('a/', ''),
    ('a\\', ''),
    ('/a.txt', 'a.txt'),
    ('//server/share/a.txt', 'a.txt'),
    ('\\\\server\\share\\a.txt', 'a.txt'),
    ('\\\\?\\C:\\a.txt', 'a.txt'),
    ('/etc/passwd', 'passwd'),
    ('../../etc/passwd', 'passwd'),
    ('....//....//a.txt', 'a.txt'),
    ('..\\..\\windows\\win.ini', 'win.ini'),
    ('..\\/..\\/a.txt', 'a.txt'),
    ('a/b\\c.txt', 'c.txt'),
    ('a\\b/c.txt', 'c.txt'),
    ('C:\\dir\\a.txt', 'a.txt'),
    ('c:/dir/a.txt', 'a.txt'),
    ('C:a.txt', 'a.txt'),
    ('C:', ''),
    ('C:\\', ''),
    ('C:..', ''),
    ('C:.', ''),
    ('C:..\\a.txt', 'a.txt'),
    ('C:C:a.txt', None),
    ('C:D:..', None),
    ('a.txt:stream', None),
    ('file:///etc/passwd', 'passwd'),
    ('a\0.txt', 'a.txt'),
    ('a.php\0.txt', 'a.php.txt'),
    ('.\0.', ''),
    ('..\0', ''),
    ('\0..', ''),
    ('\0', ''),
    ('.\x7f.', ''),
    ('..\x01/a', 'a'),
    ('a/.\x1f.', ''),
    ('C\x01:a.txt', 'a.txt'),
    ('C:\x01D:a.txt', None),
    ('\x01C:..', ''),
    ('a\r\nb.txt', 'ab.txt'),
    ('a\tb.txt', 'ab.txt'),
    ('a\x1b[2Jb.txt', 'a[2Jb.txt'),
    ('\x7fa\x7f.txt', 'a.txt'),
    ('\x80\x85\x9f', None),
    ('. .', None),
    ('.. ', None),
    (' ..', None),
    (' . ', None),
    ('...', None),
    ('CON', None),
    ('a.txt.', None),
    ('%2e%2e%2fa.txt', '%2e%2e%2fa.txt'),  # decoded once is enough
    ('..%2fa.txt', '..%2fa.txt'),
    ('..%5ca.txt', '..%5ca.txt'),
    ('\u2025', None),
    ('\uff0e\uff0e\uff0fa', None),
    ('..\u2215a', '..\u2215a'),
    ('\u202etxt.exe', None),
    ('~', '~'),
    ('~root/.ssh/authorized_keys', 'authorized_keys'),
    ('$HOME/a', 'a'),
    ('-rf', '-rf'),
    ('a' * 300 + '.txt', None),
    ('/' * 300 + 'a', 'a'),
    ('../' * 100 + 'a', 'a'),
]

#: bodies that are malformed: what it is, and the body
MALFORMED = [
    ('nothing', b''),
    ('no boundary', b'a=1'),
    ('another boundary', field(b'a', b'1').replace(b'bound', b'other') + b'--other--\r\n'),
    ('another case', (field(b'a', b'1') + END).replace(b'bound', b'Bound')),
    ('no beginning', b'1\r\n'),
    ('no end', field(b'a', b'1')),
    ('no end, but the next part', field(b'a', b'1') + b'--bound\r\n'),
    ('an end that is cut off', field(b'a', b'1') + b'--bound-'),
    ('LF', (field(b'a', b'1') + END).replace(b'\r\n', b'\n')),
    ('LF after the first boundary', (field(b'a', b'1') + END).replace(b'--bound\r\n', b'--bound\n')),
    ('LF after a boundary', field(b'a', b'1') + b'--bound\n' + field(b'a', b'1')[9:] + END),
    ('LF before the end', field(b'a', b'1')[:-2] + b'\n' + END),
    ('LF after a header', (field(b'a', b'1') + END).replace(b'"a"\r\n', b'"a"\n')),
    ('LF after a header that is not the last', part(b'; name=a', b'1', b'A: b').replace(b'=a\r', b'=a') + END),
    ('LF after the headers', (field(b'a', b'1') + END).replace(b'\r\n\r\n', b'\r\n\n')),
    ('CR after a header', part(b'; name=a', b'1', b'A: b').replace(b'=a\r\n', b'=a\r') + END),
    ('CR before a header', (field(b'a', b'1') + END).replace(b'Content', b'\rContent')),
    ('more after a boundary', field(b'a', b'1').replace(b'bound', b'bound x') + END),
    ('more after a boundary, later', field(b'a', b'1\r\n--bounds') + END),
    ('one hyphen after a boundary', field(b'a', b'1\r\n--bound-') + END),
    ('one hyphen and more', field(b'a', b'1\r\n--bound-x') + END),
    ('CR after a boundary', field(b'a', b'1\r\n--bound\rx') + END),
    ('padding and more', field(b'a', b'1\r\n--bound \t-') + END),
    ('no headers', b'--bound\r\n\r\n1\r\n' + END),
    ('no headers, no empty line', b'--bound\r\n1\r\n' + END),
    ('no empty line', b'--bound\r\nContent-Disposition: form-data; name=a\r\n' + END),
    ('a boundary in the headers', b'--bound\r\nContent-Disposition: form-data; name=a\r\n' + field(b'a', b'1') + END),
    ('no disposition', b'--bound\r\nContent-Type: text/plain\r\n\r\n1\r\n' + END),
    ('an empty disposition', (field(b'a', b'1') + END).replace(b' form-data; name="a"', b'')),
    ('another disposition', (field(b'a', b'1') + END).replace(b'form-data', b'attachment')),
    ('no name', part(b'', b'1') + END),
    ('no name, but a file', part(b'; filename=a', b'1') + END),
    ('a name without value', part(b'; name', b'1') + END),
    ('two dispositions', part(b'; name=a', b'1', b'content-disposition: form-data; name=b') + END),
    ('the same disposition twice', part(b'; name=a', b'1', b'Content-Disposition: form-data; name=a') + END),
    ('a header without colon', part(b'; name=a', b'1', b'header') + END),
    ('a header without name', part(b'; name=a', b'1', b': b') + END),
    ('space before the colon', part(b'; name=a', b'1', b'A : b') + END),
    ('space in a name', part(b'; name=a', b'1', b'A b: c') + END),
    ('folding at the beginning', (field(b'a', b'1') + END).replace(b'Content', b' Content')),
    ('NUL in a name', part(b'; name="a\0b"', b'1') + END),  # RFC 9110 section 5.5
    ('a control character in a header', part(b'; name=a', b'1', b'A: \x01') + END),
    ('NUL in the name of a header', part(b'; name=a', b'1', b'A\0: b') + END),
]


class BrokenEvents(AssertionError):
    """The events of a parser do not come in the order that they have to."""


def check_event(condition, events):
    if not condition:
        raise BrokenEvents(repr(events))


def collect(parser, chunks, parts=None):
    """Feed a parser and return its parts as in ``BODIES``, as far as they go when ``parts`` is given."""
    result = [] if parts is None else parts
    part = None
    content = []
    for chunk in chunks:
        events = parser.feed(chunk)
        for event in events:
            if event is None:
                check_event(part, events)
                result.append((part.name, part.raw_filename, part.content_type, b''.join(content)))
                part = None
            elif isinstance(event, bytes):
                check_event(part and event, events)
                content.append(event)
            else:
                check_event(not part, events)
                part = event
                content = []
    parser.finish()
    check_event(parser.is_done and not part, part)
    return result


def in_pieces(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]
