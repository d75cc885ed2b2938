"""What the suite runs on: virtual environments, tools, and a description of the machine. Standard library only."""
import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import venv

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
VENV = pathlib.Path(os.environ.get('BENCH_VENV') or BENCH / '.venv').absolute()
PYTHON = VENV / 'bin' / 'python'
UPSTREAM_VENV = VENV.with_name(VENV.name + '-upstream')
UPSTREAM_PYTHON = UPSTREAM_VENV / 'bin' / 'python'
TOOLS = ('wrk', 'nginx', 'taskset')


def require_tools() -> None:
    missing = [tool for tool in TOOLS if not find_tool(tool)]
    if missing:
        sys.exit(f'missing: {", ".join(missing)}. On Debian: apt install wrk nginx util-linux')
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit('two cores are needed, one for the server and one for the load generator')


def find_tool(name: str) -> 'str | None':
    return shutil.which(name) or shutil.which(name, path='/usr/sbin')  # where Debian has nginx, unlike a user's PATH


def install() -> None:
    """Bring both virtual environments up to date with the files of requirements and with this tree."""
    install_into(VENV, BENCH / 'requirements.txt', '--editable', str(ROOT))
    install_into(UPSTREAM_VENV, BENCH / 'requirements-upstream.txt')


def install_into(directory: pathlib.Path, requirements: pathlib.Path, *more: str) -> None:
    done = directory / 'installed.txt'
    wanted = requirements.read_text() + '\n'.join(more) + sys.version
    if done.exists() and done.read_text() == wanted:
        return
    print(f'installing {requirements.name}', flush=True)
    venv.create(directory, with_pip=True, clear=True)
    pip = (str(directory / 'bin' / 'python'), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check')
    subprocess.run([*pip, '--requirement', str(requirements), *more], check=True)
    done.write_text(wanted)


def describe() -> dict:
    """The machine, the interpreter and the version of everything measured. Nothing that tells whose machine it is."""
    return {
        'date': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        'cpu': cpu_model(),
        'cores': len(os.sched_getaffinity(0)),
        'kernel': f'{platform.system()} {platform.release().partition("-")[0]}',
        'python': f'{platform.python_implementation()} {platform.python_version()}',
        'commit': commit(),
        'versions': versions(),
    }


def cpu_model() -> str:
    model = re.search(r'model name\s*: (.+)', pathlib.Path('/proc/cpuinfo').read_text())
    return model[1] if model else platform.machine()


def commit() -> str:
    git = ['git', '-C', str(ROOT)]
    head = output([*git, 'rev-parse', '--short', 'HEAD'])
    return head + (' with changes' if output([*git, 'status', '--porcelain', 'src']) else '')


def versions() -> 'dict[str, str]':
    found = {'microdot (this tree)': installed_version(PYTHON, 'microdot')}
    for python, name in ((PYTHON, 'requirements.txt'), (UPSTREAM_PYTHON, 'requirements-upstream.txt')):
        for package in re.findall(r'^([\w-]+)==', (BENCH / name).read_text(), re.MULTILINE):
            found['microdot (upstream)' if package == 'microdot' else package] = installed_version(python, package)
    for tool, option in (('wrk', '-v'), ('nginx', '-v')):
        version = re.search(r'\d+(\.\d+)+', output([find_tool(tool) or tool, option]))
        found[tool] = version[0] if version else 'unknown'
    return found


def installed_version(python: pathlib.Path, package: str) -> str:
    return output([str(python), '-c', f'from importlib.metadata import version; print(version({package!r}))'])


def output(command: 'list[str]') -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip()
