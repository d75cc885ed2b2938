"""A parser of multipart/form-data without a server: parse.py PARSER MEGABYTES

For each line of standard input, ``CASE SECONDS``, the body of that case is parsed again and again, in pieces of 64 KB.
Prints JSON: the bytes, the CPU time, and a checksum of names and contents from a first run that is not counted.
All parsers do the same: they find the name of each part and hand out its content as ``bytes``.
"""
import json
import sys
import time
import zlib

import bodies


def parse_ours(pieces, begin_part, take):
    from microdot.multipart import MultipartParser
    parser = MultipartParser(bodies.BOUNDARY.encode(), max_parts=sys.maxsize)
    for piece in pieces:
        for event in parser.feed(piece):
            if event.__class__ is bytes:
                take(event)
            elif event is not None:
                begin_part(event.name)
    parser.finish()


def parse_multipart(pieces, begin_part, take):
    from multipart import PushMultipartParser
    with PushMultipartParser(bodies.BOUNDARY) as parser:
        for piece in pieces:
            for event in parser.parse(piece):
                if event.__class__ is bytes or event.__class__ is bytearray:
                    take(event)
                elif event is not None:
                    begin_part(event.name)


def parse_python_multipart(pieces, begin_part, take):
    """Headers are collected, and pieces of contents sliced, as the package's own form parser and Starlette do."""
    from python_multipart.multipart import MultipartParser, parse_options_header
    name = value = disposition = b''

    def on_header_field(data, start, end):
        nonlocal name
        name += data[start:end]

    def on_header_value(data, start, end):
        nonlocal value
        value += data[start:end]

    def on_header_end():
        nonlocal name, value, disposition
        if name.lower() == b'content-disposition':
            disposition = value
        name = value = b''

    def on_headers_finished():
        begin_part(parse_options_header(disposition)[1][b'name'].decode())

    def on_part_data(data, start, end):
        take(data[start:end])

    parser = MultipartParser(bodies.BOUNDARY, {
        'on_header_field': on_header_field, 'on_header_value': on_header_value, 'on_header_end': on_header_end,
        'on_headers_finished': on_headers_finished, 'on_part_data': on_part_data})
    for piece in pieces:
        parser.write(piece)
    parser.finalize()


PARSERS = {'ours': parse_ours, 'multipart': parse_multipart, 'python-multipart': parse_python_multipart}


def check(parse, pieces, parts: int, size: int) -> int:
    """Let the parser run once, and return a checksum of what comes out."""
    names = []
    total = checksum = 0

    def take(data):
        nonlocal total, checksum
        total += len(data)
        checksum = zlib.crc32(data, checksum)

    parse(pieces, names.append, take)
    if (len(names), total) != (parts, size):
        sys.exit(f'{len(names)} parts and {total:,} bytes instead of {parts} and {size:,}')
    return zlib.crc32('\n'.join(names).encode(), checksum)


def main() -> None:
    parse, megabytes = PARSERS[sys.argv[1]], int(sys.argv[2])
    known = {}
    for line in sys.stdin:
        case, _, seconds = line.rpartition(' ')
        if case not in known:
            known.clear()  # one body at a time in memory
            body, parts, size = bodies.make(case, megabytes)
            pieces = bodies.pieces_of(body)
            known[case] = pieces, len(body), check(parse, pieces, parts, size)
        pieces, size, checksum = known[case]
        count = 0
        begin = time.process_time()
        while (elapsed := time.process_time() - begin) < float(seconds):
            parse(pieces, len, len)
            count += 1
        print(json.dumps({'bytes': size * count, 'seconds': elapsed, 'checksum': checksum}), flush=True)


main()
