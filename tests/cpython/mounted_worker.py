"""The worker class of uvicorn for Gunicorn, with the application mounted at /prefix: it has no option for that."""
from uvicorn_worker import UvicornWorker


class MountedWorker(UvicornWorker):
    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, 'root_path': '/prefix'}
