"""Uploads to Starlette: the size of the file of a form.

``app`` drops it, as the others do, with python-multipart on the stream of the request. ``form_app`` is what Starlette
offers for forms: ``request.form()`` copies the file into a temporary one.
"""
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def upload(request):
    size = 0
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
        parse_options_header(disposition)[1][b'name'].decode()

    def on_part_data(data, start, end):
        nonlocal size
        size += len(data[start:end])

    _, options = parse_options_header(request.headers['Content-Type'])
    parser = MultipartParser(options[b'boundary'], {
        'on_header_field': on_header_field, 'on_header_value': on_header_value, 'on_header_end': on_header_end,
        'on_headers_finished': on_headers_finished, 'on_part_data': on_part_data})
    async for piece in request.stream():
        parser.write(piece)
    parser.finalize()
    return PlainTextResponse(str(size))


async def upload_form(request):
    async with request.form() as form:
        return PlainTextResponse(str(form['file'].size))


app = Starlette(routes=[Route('/upload', upload, methods=['POST'])])
form_app = Starlette(routes=[Route('/upload', upload_form, methods=['POST'])])
