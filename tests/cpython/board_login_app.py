"""Run by test_board.py on MicroPython: board_login_app.py FOLDER PORT, with the compiled package in FOLDER."""
import gc
import sys

sys.path.insert(0, sys.argv[1])

from microdot import Microdot  # noqa: E402
from microdot.login import Login  # noqa: E402
from microdot.password import check_password  # noqa: E402
from microdot.session import Session, with_session  # noqa: E402

# of "secret", as "python -m microdot.password --board" prints it
HASH = '$pbkdf2-sha256$2000$AAECAwQFBgcICQoLDA0ODw$0Zlqsm20BWY.3O6tF2G3FFEp0FGqGGSDgWHt1udxEZM'


class User:
    id = 'susan'


app = Microdot()
app.max_connections = 4
Session(app, 'a key of a board, long enough for HS256', {'max_age': 60})
login = Login()


@login.user_loader
def load(user_id):
    return User if user_id == User.id else None


@app.get('/heap')
def heap(request):
    gc.collect()
    return {'used': gc.mem_alloc()}


@app.post('/login')
async def log_in(request):
    if not check_password(HASH, request.form['password']):
        return 'wrong', 401
    return await login.login_user(request, User, remember=True)


@app.post('/logout')
async def log_out(request):
    await login.logout_user(request)
    return 'bye'


@app.get('/')
@login
def index(request):
    return request.g.current_user.id


@app.get('/count')
@login.fresh
@with_session
def count(request, session):
    session['count'] = session.get('count', 0) + 1
    session.save()
    return str(session['count'])


app.run('127.0.0.1', int(sys.argv[2]))
