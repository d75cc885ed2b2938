"""Headers of the parts of a form as most clients write them (CPython)."""
import os
import re

if False:  # TYPE_CHECKING
    from typing import Any

    from microdot.multipart import Part

# PERF: bench, uploads, small parts: without anything to decode
PLAIN = re.compile(
    b'Content-Disposition: form-data; name="([ !#$&-\\[\\]-~]*)"(?:; filename="([ !#$&-\\[\\]-~]*)")?'
    b'(?:\r\nContent-Type: ([!-~]+))?')
UNSAFE = re.compile('[^-_.()+ 0-9A-Za-z]|^[. ]|[. ]$')  # or worth a look

ON_WINDOWS = os.sep == '\\'
DEVICE = re.compile('(CON|CONIN\\$|CONOUT\\$|PRN|AUX|NUL|COM.|LPT.) *(\\.|$)', re.IGNORECASE)  # in every directory


def read_plain(part: 'Part', block: bytes) -> bool:
    """Fill in the attributes of a part, and tell whether its headers are plain enough for that."""
    plain: 'Any' = PLAIN.fullmatch(block)
    if not plain or ON_WINDOWS:
        return ON_WINDOWS and read_on_windows(part, block)
    name, filename, content_type = plain.groups()
    part.name = name.decode()
    if filename is not None:
        part.filename = part.raw_filename = filename.decode()
        if UNSAFE.search(part.filename):
            part.filename = import_reader().safe_filename(part.filename)
    if content_type is not None:
        part.content_type = content_type.decode()
    return True


def read_on_windows(part: 'Part', block: bytes) -> bool:
    import_reader().read_headers(part, block)
    if DEVICE.match(part.filename):
        part.filename = '_' + part.filename
    return True


def import_reader() -> 'Any':
    from microdot import part_headers  # which imports what imports this

    return part_headers
