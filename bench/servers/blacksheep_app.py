"""The application for BlackSheep."""
from blacksheep import Application, Request, json, text

app = Application()


@app.router.get('/')
async def plain(request: Request):
    return text('Hello, World!')


@app.router.get('/json')
async def get_json(request: Request):
    return json({'message': 'Hello, World!'})


@app.router.get('/users/{id}')
async def user(id: str):
    return text(id)


@app.router.post('/echo')
async def echo(request: Request):
    return json(await request.json())
