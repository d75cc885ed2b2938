"""The application for Falcon (ASGI)."""
import falcon
import falcon.asgi


class Plain:
    async def on_get(self, req, resp):
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = 'Hello, World!'


class Json:
    async def on_get(self, req, resp):
        resp.media = {'message': 'Hello, World!'}


class User:
    async def on_get(self, req, resp, id):
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = id


class Echo:
    async def on_post(self, req, resp):
        resp.media = await req.get_media()


app = falcon.asgi.App()
app.add_route('/', Plain())
app.add_route('/json', Json())
app.add_route('/users/{id}', User())
app.add_route('/echo', Echo())
