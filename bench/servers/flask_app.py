"""The application for Flask."""
from flask import Flask, request

app = Flask(__name__)


@app.get('/')
def plain():
    return 'Hello, World!'


@app.get('/json')
def json():
    return {'message': 'Hello, World!'}


@app.get('/users/<id>')
def user(id):
    return id


@app.post('/echo')
def echo():
    return request.get_json()
