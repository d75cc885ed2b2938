"""The application for FastAPI."""
from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI()


@app.get('/', response_class=PlainTextResponse)
async def plain():
    return 'Hello, World!'


@app.get('/json')
async def json():
    return {'message': 'Hello, World!'}


@app.get('/users/{id}', response_class=PlainTextResponse)
async def user(id: str):
    return id


@app.post('/echo')
async def echo(data: dict[str, Any]):
    return data
